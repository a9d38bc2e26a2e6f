//! `messagekit replay cancel`.

use messagekit::Error;

use super::job;
use crate::database::Database;
use crate::databases::documents;
use crate::operator::operator;
use crate::output::print;

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
            true => print(documents(&self.database)?.replay(job)),
            false => print(job::in_words(&job)),
        }
    }
}
