//! `messagekit events find`.

use jiff::Timestamp;
use messagekit::operations::EventFilter;
use messagekit::{Error, MessageId};

use crate::databases::{Databases, print_unreachable};
use crate::input::moment;
use crate::output::{cell, key, print, print_json, printable, table};
use crate::page::{Page, print_table};

#[derive(Debug, clap::Args)]
pub(super) struct Find {
    #[command(flatten)]
    databases: Databases,
    /// Only those of this correlation: the event of this id, and all that name it
    #[arg(long, value_name = "ID")]
    correlation: Option<MessageId>,
    /// Only those with exactly this key
    #[arg(long)]
    key: Option<String>,
    /// Only those of this type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    /// Only those of this topic
    #[arg(long)]
    topic: Option<String>,
    /// Only those written since then: 2026-01-31T12:00:00Z, 2026-01-31, or 2h for two hours ago [default: 1h without
    /// --correlation]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Only those written until then
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    #[command(flatten)]
    page: Page,
}

impl Find {
    pub(super) async fn run(self) -> Result<(), Error> {
        let filter = EventFilter {
            event_type: self.event_type,
            topic: self.topic,
            key: self.key,
            from: self.since,
            to: self.until,
        };
        let overview = self.databases.overview().await?;
        let found = overview.events(self.correlation, filter, self.page.limit).await?;
        if self.page.json {
            return print_json(&found);
        }
        let mut rows =
            table(&["written", "database", "event", "type", "topic", "key", "correlation", "caused by"]);
        for event in &found.events {
            rows.add_row([
                event.created_at.to_string(),
                printable(&event.database),
                printable(event.event_id.as_str()),
                cell(&event.event_type),
                printable(&event.topic),
                key(&event.key),
                cell(&event.links.correlation_id),
                cell(&event.links.causation_id),
            ]);
        }
        print_table(&rows, "no events")?;
        if found.is_cut {
            print("more: --limit, or --since the time of the last one")?;
        }
        print_unreachable(&found.unreachable)
    }
}
