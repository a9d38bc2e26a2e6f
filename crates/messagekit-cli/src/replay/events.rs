//! `messagekit replay events`.

use messagekit::Error;
use messagekit::operations::{EventCursor, EventHead};
use serde_json::{Value, json};

use super::chosen::Chosen;
use super::cursor::{behind, cursor};
use crate::database::Database;
use crate::output::{bytes, json_bytes, print, printable, table};

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
        let events = store.store().events(&filter, self.after.as_ref(), self.limit).await?;
        store.close().await?;
        let next = events.last().filter(|_| events.len() == self.limit as usize).map(behind);
        if self.json {
            let events: Vec<Value> = events.iter().map(json).collect();
            return print(json!({ "events": events, "after": next }));
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
            Some(place) => print(format_args!("more: --after {}", printable(&place))),
            None => Ok(()),
        }
    }
}

fn json(event: &EventHead) -> Value {
    json!({
        "event_id": event.event_id.as_str(),
        "event_type": event.event_type,
        "topic": &*event.topic,
        "key": event.key.as_deref().map(json_bytes),
        "copies": event.copies,
        "created_at": event.created_at.to_string(),
        "payload_bytes": event.payload_bytes,
    })
}
