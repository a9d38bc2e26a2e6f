//! `messagekit replay count`.

use messagekit::Error;
use messagekit::operations::ReplayCount;

use super::chosen::Chosen;
use crate::database::Database;
use crate::databases::documents;
use crate::output::{number, print, printable};

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
            return print(documents(&self.database)?.replay_count(count));
        }
        print(in_words(&count))
    }
}

/// `12 events`, and a line for each consumer that would skip some of them.
pub(super) fn in_words(count: &ReplayCount) -> String {
    let mut text = events(count.events);
    for (consumer, skipped) in &count.skipped_by {
        let consumer = printable(consumer);
        text.push_str(&format!(
            "\n{consumer} has had {} of them, and passes over those under the same ids",
            number(*skipped)
        ));
    }
    for (consumer, old) in &count.too_old_for {
        let consumer = printable(consumer);
        text.push_str(&format!(
            "\n{} of them are older than {consumer} remembers, which sets those aside under the same ids",
            number(*old)
        ));
    }
    text
}

/// `1 event`, `1,234 events`.
pub(super) fn events(count: u64) -> String {
    format!("{} {}", number(count), if count == 1 { "event" } else { "events" })
}
