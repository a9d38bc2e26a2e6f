//! Whether the promises held: decided by a pass of its own over the tables, never by the counters of whoever worked.

use std::path::Path;

use messagekit::Error;
use messagekit_sqlite::SqliteStore;
use serde::Serialize;

use crate::accounts::Accounts;
use crate::judge::Judge;
use crate::ledger::LEDGER;
use crate::order_service::DATABASE;

/// How a promise, or a whole run, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It held.
    Kept,
    /// It did not.
    Broken,
    /// Nothing was broken, but nothing is proven either: too few kills, or no duplicate.
    Void,
}

/// The figures of a run as the tables say; the crate's documentation explains each name.
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

/// A promise and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Promise {
    /// A stable name.
    pub name: &'static str,
    /// The promise in words.
    pub promise: &'static str,
    /// What became of it.
    pub outcome: Outcome,
    /// The figures that decide it, in words.
    pub statistics: String,
}

/// What a run has shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The figures.
    pub statistics: Statistics,
    /// Every promise.
    pub promises: Vec<Promise>,
}

impl Verdict {
    /// Returns how the run ended: broken if any promise was, else void if the run proves nothing, else kept.
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
/// When the database or the ledger is not there or cannot be read.
pub async fn verdict(folder: &Path) -> Result<Verdict, Error> {
    // A database that is not there would be made.
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
