//! `messagekit outbox list`.

use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::{COUNT_LIMIT, OutboxStatus, UnpublishedEvent};
use messagekit_admin::ByteText;
use serde_json::{Value, json};

use crate::database::Database;
use crate::output::{bytes, number, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
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
        // One more than the limit shows whether there are more.
        let read = async {
            let events = store.store().unpublished_events(self.limit + 1).await?;
            Ok::<_, Error>((events, store.store().outbox_status().await?))
        };
        let read = read.await;
        store.close().await?;
        let (mut events, outbox) = read?;
        let is_cut = events.len() > self.limit as usize;
        events.truncate(self.limit as usize);
        if self.json {
            let events: Vec<Value> = events.iter().map(value).collect();
            return print(json!({ "events": events, "is_cut": is_cut }));
        }
        if events.is_empty() {
            print("no event is pending")?;
        } else {
            print(rows(&events))?;
        }
        if is_cut {
            print("there are more: --limit")?;
        }
        self.print_what_is_not_listed(&outbox)
    }

    /// Names the events that no list of pending ones shows, and an outbox that no one reads.
    fn print_what_is_not_listed(&self, outbox: &OutboxStatus) -> Result<(), Error> {
        if outbox.rejected > 0 {
            let events = match outbox.rejected {
                1 => "1 event is".to_owned(),
                count if count >= u64::from(COUNT_LIMIT) => format!("{} or more events are", number(count)),
                count => format!("{} events are", number(count)),
            };
            let list = self.database.command("messagekit outbox rejected list");
            print(format_args!("{events} rejected, and later ones of the same keys wait: {list}"))?;
        }
        match outbox.publisher.mode {
            Some(_) => Ok(()),
            None => print("nothing publishes this outbox"),
        }
    }
}

fn rows(events: &[UnpublishedEvent]) -> impl std::fmt::Display {
    let now = Timestamp::now();
    let mut rows = table(&["event", "topic", "type", "key", "refused", "waits"]);
    for event in events {
        rows.add_row([
            printable(event.event_id.as_str()),
            printable(&event.topic),
            event.event_type.as_deref().map(printable).unwrap_or_default(),
            event.key.as_deref().map(bytes).unwrap_or_default(),
            event.attempts.to_string(),
            waits(event, now),
        ]);
    }
    rows
}

/// `for 12s`, or until when.
fn waits(event: &UnpublishedEvent, now: Timestamp) -> String {
    if event.is_delayed {
        return format!("until {:.0}", event.ready_at);
    }
    let age = now.duration_since(event.ready_at).as_secs().max(0);
    format!("for {:#}", jiff::SignedDuration::from_secs(age))
}

fn value(event: &UnpublishedEvent) -> Value {
    json!({
        "event_id": event.event_id.as_str(),
        "event_type": event.event_type,
        "topic": &*event.topic,
        "key": event.key.as_deref().map(ByteText::of),
        "attempts": event.attempts,
        "ready_at": event.ready_at.to_string(),
        "is_delayed": event.is_delayed,
    })
}
