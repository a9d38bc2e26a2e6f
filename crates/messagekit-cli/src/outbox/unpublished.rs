//! `messagekit outbox list`.

use comfy_table::Table;
use jiff::Timestamp;
use messagekit::Error;
use messagekit::operations::{COUNT_LIMIT, OutboxStatus, UnpublishedEvent};
use serde_json::json;

use crate::database::Database;
use crate::output::{bytes, cell, number, print, printable, table};
use crate::page::{Page, print_table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    page: Page,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        // One more than the limit shows whether there are more.
        let read = async {
            let events = store.store().unpublished_events(self.page.limit + 1).await?;
            Ok::<_, Error>((events, store.store().outbox_status().await?))
        };
        let read = read.await;
        store.close().await?;
        let (mut events, outbox) = read?;
        let is_cut = events.len() > self.page.limit as usize;
        events.truncate(self.page.limit as usize);
        if self.page.json {
            return print(json!({ "events": events, "is_cut": is_cut }));
        }
        print_table(&rows(&events), "no event is pending")?;
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

fn rows(events: &[UnpublishedEvent]) -> Table {
    let now = Timestamp::now();
    let mut rows = table(&["event", "topic", "type", "key", "refused", "waits"]);
    for event in events {
        rows.add_row([
            printable(event.event_id.as_str()),
            printable(&event.topic),
            cell(&event.event_type),
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
