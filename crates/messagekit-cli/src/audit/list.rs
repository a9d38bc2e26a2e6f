//! `messagekit audit list`.

use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::AuditFilter;
use serde_json::Value;

use crate::databases::Databases;
use crate::document::{list, text};
use crate::input::moment;
use crate::output::{print, table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    databases: Databases,
    /// Only those of this operator
    #[arg(long)]
    operator: Option<String>,
    /// Only those of this kind
    #[arg(long, value_parser = ["retry", "discard", "undo", "replay", "cancel-replay", "retry-rejected", "discard-rejected"])]
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
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
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
        let audit = audit.audit(&filter, self.before.as_deref(), self.limit).await?;
        if self.json {
            return print(audit);
        }
        let mut rows = table(&["at", "database", "id", "operator", "through", "action", "on", "done"]);
        for action in list(&audit, "actions") {
            let fields =
                ["at", "database", "id", "operator", "through", "action"].map(|field| text(&action[field]));
            rows.add_row(fields.into_iter().chain([target(action), text(&action["done"])]));
        }
        match list(&audit, "actions").next() {
            None => print("no actions")?,
            Some(_) => print(rows)?,
        }
        for one in list(&audit, "unreachable") {
            print(format_args!("database {} {}", text(&one["database"]), text(&one["error"])))?;
        }
        match &audit["next"] {
            Value::Null => Ok(()),
            next => print(format_args!("more: --before {}", text(next))),
        }
    }
}

/// What an action was done to.
fn target(action: &Value) -> String {
    if !action["replay"].is_null() {
        return format!("replay {}", text(&action["replay"]));
    }
    if !action["event_id"].is_null() {
        return format!("event {}", text(&action["event_id"]));
    }
    let ids: Vec<String> = list(action, "failed_messages").map(text).collect();
    match &ids[..] {
        [first, .., last] if ids.len() > 5 => format!("{} failed messages, {first} to {last}", ids.len()),
        _ => ids.join(", "),
    }
}
