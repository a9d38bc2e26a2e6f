//! `messagekit replay count`.

use messagekit::Error;
use messagekit::operations::{ConsumerEvents, ReplayCount};
use messagekit_admin::InDatabase;

use super::chosen::Chosen;
use crate::database::Database;
use crate::databases::name_of;
use crate::output::{number, print, print_json, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Count {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Count {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let count = store.store().replay_count(&self.chosen.filter()).await?;
        store.close().await?;
        if self.json {
            return print_json(&InDatabase::new(name_of(&self.database)?, count));
        }
        print(in_words(&count))
    }
}

/// `12 events`, and a line for each consumer that would skip some of them.
pub(super) fn in_words(count: &ReplayCount) -> String {
    let mut text = events(count.events);
    for ConsumerEvents { consumer, events } in &count.skipped_by {
        let consumer = printable(consumer);
        text.push_str(&format!(
            "\n{consumer} has had {} of them, and passes over those under the same ids",
            number(*events)
        ));
    }
    for ConsumerEvents { consumer, events } in &count.too_old_for {
        let consumer = printable(consumer);
        text.push_str(&format!(
            "\n{} of them are older than {consumer} remembers, which sets those aside under the same ids",
            number(*events)
        ));
    }
    text
}

/// `1 event`, `1,234 events`.
pub(super) fn events(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "event" } else { "events" })
}
