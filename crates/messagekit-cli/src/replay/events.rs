//! `messagekit replay events`.

use messagekit::Error;
use messagekit::operations::{EventCursor, EventHead};

use super::chosen::Chosen;
use super::cursor::{cursor, text};
use crate::database::Database;
use crate::databases::documents;
use crate::output::{bytes, print, printable, table};
use crate::page::{cut, one_more};

#[derive(Debug, clap::Args)]
pub(super) struct Events {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Only those after this cursor: the last line of the previous page
    #[arg(long, value_name = "PLACE", value_parser = cursor)]
    after: Option<EventCursor>,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Events {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let filter = self.chosen.filter();
        let mut events = store.store().events(&filter, self.after.as_ref(), one_more(self.limit)).await?;
        store.close().await?;
        let next = cut(&mut events, self.limit, EventHead::cursor);
        if self.json {
            return print(documents(&self.database)?.stored_events(events, next.as_ref()));
        }
        if events.is_empty() {
            return print("no events");
        }
        let mut rows = table(&["written", "event", "type", "topic", "key", "copies", "bytes"]);
        for event in &events {
            rows.add_row([
                format!("{:.3}", event.created_at),
                printable(event.event_id.as_str()),
                event.event_type.as_deref().map(printable).unwrap_or_default(),
                printable(&event.topic),
                event.key.as_deref().map(bytes).unwrap_or_default(),
                event.copies.to_string(),
                event.payload_bytes.to_string(),
            ]);
        }
        print(rows)?;
        match next {
            Some(position) => print(format_args!("more: --after {}", printable(&text(&position)))),
            None => Ok(()),
        }
    }
}
