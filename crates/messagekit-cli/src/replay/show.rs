//! `messagekit replay show`.

use messagekit::Error;
use messagekit::operations::{ReplayJob, Replays};
use messagekit_admin::InDatabase;

use super::follow::follow;
use super::job;
use crate::database::Database;
use crate::databases::name_of;
use crate::output::{print, print_json, printable};

#[derive(Debug, clap::Args)]
pub(super) struct Show {
    #[command(flatten)]
    database: Database,
    /// The replay's number
    id: i64,
    /// Follow it until it ends, and run it while no other worker does
    #[arg(long)]
    follow: bool,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Show {
    pub(super) async fn run(self) -> Result<(), Error> {
        let name = self.database.name()?;
        let store = self.database.open().await?;
        let found = self.job(store.store(), &name).await;
        store.close().await?;
        let found = found?;
        if self.json {
            print_json(&InDatabase::new(name_of(&self.database)?, &found))?;
        } else {
            let pace = found.order.per_second.map(|pace| format!(", at most {pace} in a second"));
            print(format_args!(
                "{}\nchoice       {}\nids          {}{}\nordered      {} by {}\nchanged      {}",
                job::in_words(&found),
                job::choice(&found),
                found.order.ids.as_str(),
                pace.unwrap_or_default(),
                found.ordered_at,
                printable(&found.ordered_by),
                found.changed_at,
            ))?;
        }
        if self.follow { job::ended(&found) } else { Ok(()) }
    }

    async fn job(&self, store: &dyn Replays, name: &str) -> Result<ReplayJob, Error> {
        if self.follow { follow(store, name, self.id).await } else { store.replay(self.id).await }
    }
}
