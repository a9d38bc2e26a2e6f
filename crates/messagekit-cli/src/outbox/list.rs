//! `messagekit outbox rejected list`.

use messagekit::Error;
use messagekit_admin as admin;

use crate::database::Database;
use crate::databases::name_of;
use crate::output::{cell, number, print_json, printable, table};
use crate::page::{Page, cut, one_more, print_more, print_table};

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
    #[command(flatten)]
    page: Page,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let mut events =
            store.rejected()?.rejected(self.after, one_more(self.page.limit), self.waiting).await?;
        store.close().await?;
        let next = cut(&mut events, self.page.limit, |last| last.id);
        if self.page.json {
            return print_json(&admin::List::of(&name_of(&self.database)?, events, next));
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
            rows.add_row([
                event.id.to_string(),
                printable(&event.topic),
                cell(&event.event_type),
                cell(&event.key),
                printable(event.event_id.as_str()),
                number(event.payload_bytes),
                event.attempts.to_string(),
                event.error.as_deref().map_or_else(|| "waits for the one before".to_owned(), printable),
                number(event.behind),
                event.rejected_at.to_string(),
            ]);
        }
        print_table(&rows, "no rejected events")?;
        print_more("--after", next)
    }
}
