//! Whether the promises held: decided by a separate read of the tables, never by the counters of the services.

use std::path::Path;

use messagekit::Error;
use messagekit_sqlite::SqliteStore;
use serde::Serialize;

use crate::accounts::Accounts;
use crate::judge::Judge;
use crate::ledger::LEDGER;
use crate::order_service::DATABASE;

/// The outcome of a promise, or of a whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The promise held.
    Kept,
    /// The promise did not hold.
    Broken,
    /// Nothing was broken, but the run proves nothing: too few kills, or no duplicate.
    Void,
}

/// Holds the statistics of a run, read from the tables; the crate's documentation explains each name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "explained in the table of the crate's documentation")]
pub struct Statistics {
    pub written: u64,
    pub rolled_back: u64,
    pub published: u64,
    pub handled: u64,
    pub ignored: u64,
    pub duplicates_delivered: u64,
    pub duplicates_suppressed: u64,
    pub dead_letters: u64,
    pub pence_ordered: i64,
    pub pence_billed: i64,
    pub pence_set_aside: i64,
    pub kills: u64,
}

/// Describes a promise and its outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// A stable name.
    pub name: &'static str,
    /// The promise as text.
    pub promise: &'static str,
    /// The outcome.
    pub outcome: Outcome,
    /// The statistics that decide it, as text.
    pub statistics: String,
}

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
