//! `messagekit events find`.

use jiff::Timestamp;
use messagekit::operations::EventFilter;
use messagekit::{Error, MessageId};

use crate::databases::Databases;
use crate::document::{list, text};
use crate::input::moment;
use crate::output::{print, table};

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
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
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
        let found = overview.events(self.correlation, filter, self.limit).await?;
        if self.json {
            return print(found);
        }
        let mut rows =
            table(&["written", "database", "event", "type", "topic", "key", "correlation", "caused by"]);
        for event in list(&found, "events") {
            let fields = [
                "created_at",
                "database",
                "event_id",
                "event_type",
                "topic",
                "key",
                "correlation_id",
                "causation_id",
            ];
            rows.add_row(fields.map(|field| text(&event[field])));
        }
        match list(&found, "events").next() {
            None => print("no events")?,
            Some(_) => print(rows)?,
        }
        if found["is_cut"] == true {
            print("more: --limit, or --since the time of the last one")?;
        }
        for one in list(&found, "unreachable") {
            print(format_args!("database {} {}", text(&one["database"]), text(&one["error"])))?;
        }
        Ok(())
    }
}
