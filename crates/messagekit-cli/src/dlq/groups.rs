//! `messagekit dlq groups`.

use messagekit::Error;
use messagekit::operations::FailedMessageFilter;

use super::chosen::{Chosen, empty_answer, known_consumer};
use super::totals::in_words;
use crate::database::Database;
use crate::databases::documents;
use crate::output::{number, print, printable, table};

#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Those in every state [default: only open ones]
    #[arg(long, conflicts_with = "state")]
    all: bool,
    /// At most this many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1000))]
    limit: u32,
    /// One JSON document instead of a table
    #[arg(long)]
    json: bool,
}

impl Groups {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let only_open = !self.all && !self.chosen.has_state();
        let every = self.chosen.filter();
        let filter = FailedMessageFilter { is_open: only_open || every.is_open, ..every.clone() };
        let groups = store.store().groups(&filter, self.limit).await?;
        let (mut totals, mut empty) = (Vec::new(), String::new());
        if groups.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
            if only_open && !self.json {
                totals = store.store().totals(&every).await?;
            }
            if totals.is_empty() && !self.json {
                empty = empty_answer(store.store(), &every).await?;
            }
        }
        store.close().await?;
        if self.json {
            return print(documents(&self.database)?.failed_message_groups(groups));
        }
        if groups.is_empty() {
            if only_open && !totals.is_empty() {
                print("no open failed messages")?;
                return print(in_words(&totals));
            }
            return print(empty);
        }
        let mut rows = table(&[
            "failed messages",
            "consumer",
            "type",
            "kind",
            "error of the newest",
            "first",
            "last",
            "newest",
            "fingerprint",
        ]);
        for group in &groups {
            rows.add_row([
                number(group.failed_messages),
                printable(&group.consumer),
                group.event_type.as_deref().map(printable).unwrap_or_default(),
                printable(&group.kind),
                printable(&group.error),
                format!("{:.0}", group.first),
                format!("{:.0}", group.last),
                group.newest.to_string(),
                group.fingerprint.clone(),
            ]);
        }
        print(rows)
    }
}
