//! `messagekit outbox rejected list`.

use messagekit::Error;
use messagekit::relay::RejectedEvent;
use serde_json::{Value, json};

use crate::database::Database;
use crate::output::{number, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    /// Also list the events that wait for rejected ones
    #[arg(long)]
    waiting: bool,
    /// Only those after this number: the last one of the previous page
    #[arg(long, value_name = "ID", default_value_t = 0, hide_default_value = true)]
    after: i64,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let events = store.rejected()?.rejected(self.after, self.limit, self.waiting).await?;
        store.close().await?;
        let next = events.last().filter(|_| events.len() == self.limit as usize).map(|last| last.id);
        if self.json {
            let events: Vec<Value> = events.iter().map(value).collect();
            return print(json!({ "events": events, "after": next }));
        }
        if events.is_empty() {
            return print("no rejected events");
        }
        let mut rows = table(&[
            "id",
            "topic",
            "type",
            "key",
            "event",
            "bytes",
            "attempts",
            "error",
            "behind",
            "set aside",
        ]);
        for event in &events {
            let text = |text: &Option<String>| printable(text.as_deref().unwrap_or(""));
            rows.add_row([
                event.id.to_string(),
                printable(&event.topic),
                text(&event.event_type),
                text(&event.key),
                printable(event.event_id.as_str()),
                number(event.payload_bytes),
                event.attempts.to_string(),
                event.error.as_deref().map_or_else(|| "waits for the one before".to_owned(), printable),
                number(event.behind),
                event.rejected_at.to_string(),
            ]);
        }
        print(rows)?;
        match next {
            Some(id) => print(format_args!("more: --after {id}")),
            None => Ok(()),
        }
    }
}

fn value(event: &RejectedEvent) -> Value {
    json!({
        "id": event.id,
        "event_id": event.event_id.as_str(),
        "topic": event.topic,
        "event_type": event.event_type,
        "key": event.key,
        "payload_bytes": event.payload_bytes,
        "attempts": event.attempts,
        "error": event.error,
        "created_at": event.created_at.to_string(),
        "rejected_at": event.rejected_at.to_string(),
        "behind": event.behind,
    })
}
