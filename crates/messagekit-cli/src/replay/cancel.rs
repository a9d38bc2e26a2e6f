//! `messagekit replay cancel`.

use messagekit::Error;
use messagekit_admin::InDatabase;

use super::job;
use crate::database::Database;
use crate::databases::name_of;
use crate::operator::operator;
use crate::output::{print, print_json};

#[derive(Debug, clap::Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    database: Database,
    /// The replay's number
    id: i64,
    /// One JSON document instead of lines for people
    #[arg(long)]
    json: bool,
}

impl Cancel {
    pub(super) async fn run(self) -> Result<(), Error> {
        let store = self.database.open().await?;
        let cancelled = store.store().cancel_replay(self.id, &operator()).await;
        let job = match cancelled {
            Ok(()) => store.store().replay(self.id).await,
            Err(error) => Err(error),
        };
        store.close().await?;
        let job = job?;
        match self.json {
            true => print_json(&InDatabase::new(name_of(&self.database)?, &job)),
            false => print(job::in_words(&job)),
        }
    }
}
