//! `messagekit replay list`.

use messagekit::Error;

use super::job;
use crate::database::Database;
use crate::databases::documents;
use crate::output::{number, print, printable, table};
use crate::page::{cut, one_more};

#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    database: Database,
    /// Only those before this number: the last one of the page before
    #[arg(long, value_name = "ID")]
    before: Option<i64>,
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
        let mut jobs = store.store().replays(self.before, one_more(self.limit)).await?;
        store.close().await?;
        let next = cut(&mut jobs, self.limit, |last| last.id);
        if self.json {
            return print(documents(&self.database)?.replays(jobs, next));
        }
        if jobs.is_empty() {
            return print("no replays");
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
                one.error.as_deref().map(printable).unwrap_or_default(),
            ]);
        }
        print(rows)?;
        match next {
            Some(id) => print(format_args!("more: --before {id}")),
            None => Ok(()),
        }
    }
}
