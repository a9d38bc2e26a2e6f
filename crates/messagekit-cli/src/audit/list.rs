//! `messagekit audit list`.

use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::{AUDIT_ACTIONS, AuditFilter, AuditRecord};

use crate::databases::{Databases, print_unreachable};
use crate::input::moment;
use crate::output::{print_json, printable, table};
use crate::page::{Page, print_more, print_table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    databases: Databases,
    /// Only those of this operator
    #[arg(long)]
    operator: Option<String>,
    /// Only those of this kind
    #[arg(long, value_parser = AUDIT_ACTIONS)]
    action: Option<String>,
    /// Only those written since then: 2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only those written before then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// Only those on this failed message
    #[arg(long, value_name = "ID")]
    failed_message: Option<i64>,
    /// Only those on this replay
    #[arg(long, value_name = "ID")]
    replay: Option<i64>,
    /// Only those before this position: the last line of the previous page
    #[arg(long, value_name = "POSITION")]
    before: Option<String>,
    #[command(flatten)]
    page: Page,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let filter = AuditFilter {
            operator: self.operator,
            action: self.action,
            since: self.since,
            until: self.until,
            failed_message: self.failed_message,
            replay: self.replay,
            before: None,
        };
        let audit = self.databases.overview().await?;
        let audit = audit.audit(&filter, self.before.as_deref(), self.page.limit).await?;
        if self.page.json {
            return print_json(&audit);
        }
        let mut rows = table(&["at", "database", "id", "operator", "through", "action", "on", "done"]);
        for action in &audit.entries {
            rows.add_row([
                action.at.to_string(),
                printable(&action.database),
                action.id.to_string(),
                printable(&action.operator),
                printable(&action.through),
                printable(&action.action),
                target(action),
                action.done.to_string(),
            ]);
        }
        print_table(&rows, "no actions")?;
        print_unreachable(&audit.unreachable)?;
        print_more("--before", audit.next)
    }
}

/// What an action was done to.
fn target(action: &AuditRecord) -> String {
    if let Some(replay) = action.replay {
        return format!("replay {replay}");
    }
    if let Some(event) = &action.event_id {
        return format!("event {}", printable(event));
    }
    match &action.failed_messages[..] {
        ids @ [first, .., last] if ids.len() > 5 => {
            format!("{} failed messages, {first} to {last}", ids.len())
        }
        ids => ids.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
    }
}
