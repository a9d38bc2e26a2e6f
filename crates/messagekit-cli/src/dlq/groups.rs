//! `messagekit dlq groups`.

use messagekit::Error;
use messagekit::operations::FailedMessageFilter;
use messagekit_admin as admin;

use super::chosen::{Chosen, empty_answer, known_consumer};
use super::totals::in_words;
use crate::database::Database;
use crate::databases::name_of;
use crate::output::{number, print, print_json, printable, table};
use crate::page::Page;

#[derive(Debug, clap::Args)]
pub(super) struct Groups {
    #[command(flatten)]
    database: Database,
    #[command(flatten)]
    chosen: Chosen,
    /// Those in every state [default: only open ones]
    #[arg(long, conflicts_with = "state")]
    all: bool,
    #[command(flatten)]
    page: Page,
}

impl Groups {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let only_open = !self.all && !self.chosen.has_state();
        let every = self.chosen.filter();
        let filter = FailedMessageFilter { is_open: only_open || every.is_open, ..every.clone() };
        let groups = store.store().groups(&filter, self.page.limit).await?;
        let (mut totals, mut empty) = (Vec::new(), String::new());
        if groups.is_empty() {
            known_consumer(store.store(), filter.consumer.as_deref()).await?;
            if only_open && !self.page.json {
                totals = store.store().totals(&every).await?;
            }
            if totals.is_empty() && !self.page.json {
                empty = empty_answer(store.store(), &every).await?;
            }
        }
        store.close().await?;
        if self.page.json {
            return print_json(&admin::List::of(&name_of(&self.database)?, groups, None));
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
