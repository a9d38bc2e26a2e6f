//! `messagekit replay list`.

use messagekit::Error;
use messagekit_admin as admin;

use super::job;
use crate::database::Database;
use crate::databases::name_of;
use crate::output::{cell, number, print_json, printable, table};
use crate::page::{Page, cut, one_more, print_more, print_table};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    /// Only those before this number: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
    #[command(flatten)]
    page: Page,
}

impl List {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let mut jobs = store.store().replays(self.before, one_more(self.page.limit)).await?;
        store.close().await?;
        let next = cut(&mut jobs, self.page.limit, |last| last.id);
        if self.page.json {
            return print_json(&admin::List::of(&name_of(&self.database)?, jobs, next));
        }
        let mut rows =
            table(&["id", "state", "published", "events", "choice", "ids", "ordered by", "ordered", "error"]);
        for one in &jobs {
            rows.add_row([
                one.id.to_string(),
                one.state.as_str().to_owned(),
                number(one.published),
                number(one.events),
                job::choice(one),
                one.order.ids.as_str().to_owned(),
                printable(&one.ordered_by),
                format!("{:.0}", one.ordered_at),
                cell(&one.error),
            ]);
        }
        print_table(&rows, "no replays")?;
        print_more("--before", next)
    }
}
