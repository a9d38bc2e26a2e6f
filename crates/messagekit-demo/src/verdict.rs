//! Whether the promises held: decided by a separate read of the tables, never by the counters of the services.

use std::path::Path;

use messagekit::Error;
use messagekit_sqlite::SqliteStore;

use crate::accounts::Accounts;
use crate::judge::Judge;
use crate::ledger::LEDGER;
use crate::order_service::DATABASE;
use crate::promise::{Outcome, Promise};
use crate::statistics::Statistics;

/// Holds the result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The statistics.
    pub statistics: Statistics,
    /// Every promise.
    pub promises: Vec<Promise>,
}

impl Verdict {
    /// Returns the outcome of the run: broken if any promise was, otherwise void if the run proves nothing, otherwise
    /// kept.
    pub fn outcome(&self) -> Outcome {
        let any = |outcome| self.promises.iter().any(|promise| promise.outcome == outcome);
        if any(Outcome::Broken) {
            Outcome::Broken
        } else if any(Outcome::Void) {
            Outcome::Void
        } else {
            Outcome::Kept
        }
    }
}

/// Judges the run whose files are in `folder`.
///
/// # Errors
/// Fails if the database or the ledger does not exist or cannot be read.
pub async fn verdict(folder: &Path) -> Result<Verdict, Error> {
    // Opening a missing database would create it.
    let database = folder.join(DATABASE);
    if !database.exists() {
        let text = "no run was kept in this folder: name the one that was given to --keep";
        return Err(Error::new(messagekit::ErrorKind::NotFound, text).with("path", folder.display()));
    }
    let store = SqliteStore::open(&database).await?;
    let accounts = Accounts::read(&store, &folder.join(LEDGER)).await?;
    store.close().await?;
    let judge = Judge::new(&accounts);
    Ok(Verdict { statistics: judge.statistics(), promises: judge.promises() })
}
