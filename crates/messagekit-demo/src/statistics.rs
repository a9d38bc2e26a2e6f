//! The statistics of a run.

use serde::Serialize;

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
