//! Reads of typed topics.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::Store;
use messagekit::log::Record;
use serde::Serialize;

use crate::CommitWatch;

/// How far a consumer is with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// It is still to be handled, for the first time or again.
    New,
    /// It was handled.
    Handled,
    /// An operator must decide: it is a dead failed message, or one that was discarded.
    Dead,
}

impl RecordStatus {
    /// Returns how far a consumer is with a record: as its marker says, and without a marker, as the consumer's
    /// [window](super::ClaimWindow::is_settled) says of its offset.
    pub fn of(marked: Option<Self>, is_settled: bool) -> Self {
        marked.unwrap_or(if is_settled { Self::Handled } else { Self::New })
    }
}

/// A record of a defined topic, as one consumer sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRecord {
    /// Its number in the database: from 1, in the order in which records were appended, over all defined topics.
    pub id: i64,
    /// The record.
    pub record: Record,
    /// How far the consumer is with it.
    pub status: RecordStatus,
    /// It is an open failed message of the consumer, dead or still to be handled.
    pub is_failed: bool,
    /// When the consumer handled it last.
    pub handled_at: Option<Timestamp>,
}

/// Which records of a topic to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordQuery {
    /// The consumer whose view is wanted.
    pub consumer: Arc<str>,
    /// The topic.
    pub topic: Arc<str>,
    /// Only records of this status.
    pub status: Option<RecordStatus>,
    /// Only records with a greater id.
    pub after: i64,
    /// The most records.
    pub max: u32,
}

/// Records that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPage {
    /// The records, in the order of their ids.
    pub records: Vec<TopicRecord>,
    /// How many records retention has deleted so far before the consumer had handled them, if it has handled none behind them yet.
    pub overtaken: Option<u64>,
    /// The partitions of the topic, each with the offset that its next record gets. One below the offset of a record that was read before
    /// says that the database was restored, or has failed over to a server that had not got the record.
    pub ends: Vec<(i32, i64)>,
}

/// The numbers of a topic's records, as one consumer sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RecordCounts {
    /// All that are kept.
    pub all: u64,
    /// Those to be handled.
    pub new: u64,
    /// Those that were handled.
    pub handled: u64,
    /// Those that an operator must decide on.
    pub dead: u64,
    /// Those that retention deleted before they were handled.
    pub expired: u64,
    /// The most separate ranges that claims have made of a partition; from [`MAX_CLAIM_RANGES`](super::MAX_CLAIM_RANGES) on, new records
    /// wait. JSON leaves 0 out.
    #[serde(skip_serializing_if = "is_zero")]
    pub claim_ranges: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RecordCounts {
    /// Adds records behind the settled prefix, of which all others are handled.
    pub fn add(&mut self, status: RecordStatus, records: u64) {
        match status {
            RecordStatus::New => self.new += records,
            RecordStatus::Dead => self.dead += records,
            RecordStatus::Handled => {}
        }
        self.handled = self.all.saturating_sub(self.new + self.dead);
    }
}

/// Reads of the records of typed topics as one consumer sees them, and watches for new ones.
pub trait RecordReads: Store {
    /// Returns records in the order of their ids.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined. A transient error if the database does
    /// not answer: retry.
    fn read_records(&self, query: &RecordQuery) -> impl Future<Output = Result<RecordPage, Error>> + Send;

    /// Counts the records of a topic.
    ///
    /// # Errors
    /// As [`read_records`](Self::read_records).
    fn count_records(
        &self,
        consumer: &str,
        topic: &Arc<str>,
    ) -> impl Future<Output = Result<RecordCounts, Error>> + Send;

    /// Begins to watch for commits. Look at the records after that and before the first wait, so that none is missed.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn watch_commits(&self) -> Result<Box<dyn CommitWatch>, Error>;

    /// As [`watch_commits`](Self::watch_commits), for a reader of new records: commits that give no topic a record need not wake it.
    ///
    /// # Errors
    /// As [`watch_commits`](Self::watch_commits).
    fn watch_records(&self) -> Result<Box<dyn CommitWatch>, Error> {
        self.watch_commits()
    }
}
