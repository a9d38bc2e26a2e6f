//! Typed topics, as a database keeps them.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;

use super::record_claims::RecordClaims;
use super::{OnSources, Record, RetentionRule, TopicView};
use crate::store::{BoxFuture, OutboxRows};
use crate::{Error, ErrorKind, Message};

/// What a topic was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDefinition {
    /// The number of the topic in its database, 0 before it is made. One that is dropped and made again has another number.
    pub id: i64,
    /// Its name.
    pub name: Arc<str>,
    /// The JSON Schema of its records, or `None` for any object.
    pub schema: Option<String>,
    /// The [shape](crate::schema::Shape::encode) of that schema.
    pub shape: Option<String>,
    /// The fields that no two records may have in common, sorted; none for a topic that takes everything.
    pub dedup: Vec<String>,
    /// The field that is the key of a record, if any.
    pub key: Option<String>,
    /// The number of its partitions, at least 1.
    pub partitions: u32,
    /// How often it was migrated.
    pub version: u32,
    /// How long it keeps its records, or `None` for ever.
    pub retention: Option<RetentionRule>,
    /// Its events also go to a broker, by the publishing mode of the database.
    pub is_published: bool,
}

impl TopicDefinition {
    /// Returns the JSON Schema of its records, if it has one.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if what is stored is no JSON.
    pub fn json_schema(&self) -> Result<Option<serde_json::Value>, Error> {
        let read = |text: &String| {
            serde_json::from_str(text).map_err(|error| {
                let text = "stored schema cannot be read";
                Error::new(ErrorKind::Corrupt, text).with("topic", &self.name).caused_by(error)
            })
        };
        self.schema.as_ref().map(read).transpose()
    }
}

/// A record to append to a topic that was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Its message, whose topic is the defined one.
    pub message: Message,
    /// The hash of the fields that no two records may have in common.
    pub dedup_hash: Option<String>,
    /// The number of the topic that it was made for.
    pub topic_id: i64,
    /// The version of the definition that it was made by.
    pub version: u32,
}

/// What to do with a record whose dedup hash the topic knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Append nothing of the call.
    Refuse,
    /// Append the others.
    Skip,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendedRecord {
    /// It was appended under this id.
    Appended(i64),
    /// The topic has this record of the same dedup hash.
    Duplicate(i64),
}

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

/// Waits for commits to a database.
pub trait CommitWatch: Send {
    /// Waits until any process has committed since the watch was made, or since the last call. It may return early.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the database was closed.
    ///
    /// # Cancel safety
    /// A dropped call has seen nothing: the next one tells of the same commits.
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>>;
}

/// A database that keeps typed topics: their definitions, the ids of their records, and which records are equal.
pub trait TopicStore: RecordClaims + OutboxRows {
    /// Defines a topic, and returns `None`; or returns the definition that the topic has already, unchanged.
    ///
    /// Records that were appended before get ids now, in the order of their partitions.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn define_topic(
        &self,
        definition: &TopicDefinition,
    ) -> impl Future<Output = Result<Option<TopicDefinition>, Error>> + Send;

    /// Returns the definition of a topic, or `None` for one that was not defined.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn topic_definition(
        &self,
        topic: &Arc<str>,
    ) -> impl Future<Output = Result<Option<TopicDefinition>, Error>> + Send;

    /// Returns the definitions of all topics, sorted by name.
    ///
    /// # Errors
    /// As [`topic_definition`](Self::topic_definition).
    fn topic_definitions(&self) -> impl Future<Output = Result<Vec<TopicDefinition>, Error>> + Send;

    /// Replaces the schema of a topic whose schema is still `from`, and returns whether it was.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn replace_schema(
        &self,
        from: &TopicDefinition,
        to: &TopicDefinition,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Sets how long a topic keeps its records. Nothing is deleted by the call itself.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a topic that was not defined. A transient error if the database does
    /// not answer: retry.
    fn set_retention(
        &self,
        topic: &Arc<str>,
        retention: Option<RetentionRule>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets how far a consumer is in a topic, and ends its claims there: retention waits for it no longer, and if it reads the topic again,
    /// it begins as a new one. Markers of what it has handled and its failed messages stay. Returns false if it has not read the topic.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn drop_consumer(
        &self,
        topic: &Arc<str>,
        consumer: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Deletes some records that the topic no longer keeps, in a short transaction, and returns how many; 0 when there are no more.
    ///
    /// An append to a topic deletes, too: at most some more records than it appends. What a relay has not published yet stays.
    ///
    /// # Errors
    /// As [`set_retention`](Self::set_retention).
    fn expire(&self, topic: &Arc<str>) -> impl Future<Output = Result<u64, Error>> + Send;

    /// As [`expire`](Self::expire), whatever the topic keeps: deletes some of its records.
    ///
    /// # Errors
    /// As [`set_retention`](Self::set_retention).
    fn clear_topic(&self, topic: &Arc<str>) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Drops a topic, in a short transaction: from then on no call finds it, its claims are lost, and its name is free. What it has left is
    /// deleted by [`clear_dropped`](Self::clear_dropped). Its failed messages stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a topic that was not defined.
    /// [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) while tables feed the topic, unless they are dropped, too, and while an event
    /// of it is only here and not published yet. [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) while an open transaction holds
    /// the topic: retry. A transient error if the database does not answer: retry.
    fn drop_topic(
        &self,
        topic: &Arc<str>,
        on_sources: OnSources,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes some rows that dropped topics have left, in a short transaction, and returns how many; 0 when there are no more. A call that
    /// was lost has deleted a part, and another process may go on.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn clear_dropped(&self) -> impl Future<Output = Result<u64, Error>> + Send;

    /// Appends records in order, inside a transaction, and returns what became of each.
    ///
    /// Under [`OnDuplicate::Refuse`] a duplicate is the last answer, and nothing was written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a topic that was not defined, or was dropped since, and
    /// [`ErrorKind::SchemaMismatch`](crate::ErrorKind::SchemaMismatch) for one that was migrated since. As [`OutboxRows::write`] for a
    /// record that no topic takes.
    fn append_records(
        &self,
        tx: &mut Self::Tx,
        records: &[NewRecord],
        on_duplicate: OnDuplicate,
    ) -> impl Future<Output = Result<Vec<AppendedRecord>, Error>> + Send;

    /// As [`append_records`](Self::append_records), in a commit of its own that it may share with other calls.
    ///
    /// # Errors
    /// As [`append_records`](Self::append_records): nothing was written. The outcome may be unknown.
    fn append_now(
        &self,
        records: Vec<NewRecord>,
        on_duplicate: OnDuplicate,
    ) -> impl Future<Output = Result<Vec<AppendedRecord>, Error>> + Send;

    /// Returns records in the order of their ids.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a topic that was not defined. A transient error if the database does
    /// not answer: retry.
    fn read_records(&self, query: &RecordQuery) -> impl Future<Output = Result<RecordPage, Error>> + Send;

    /// Notes that a consumer has handled a record of a topic, now, also if it had before.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the topic has no such record.
    /// [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) if the record is an open failed message of the consumer: retry or
    /// discard that. A transient error if the database does not answer: retry.
    fn set_handled(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// As [`set_handled`](Self::set_handled), in a commit of its own that it may share with other calls.
    ///
    /// # Errors
    /// As [`set_handled`](Self::set_handled).
    fn set_handled_now(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Calls a function after the commit of a transaction, and never after a rollback. It may run on the thread that writes, so it
    /// must not block.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn after_commit(
        &self,
        tx: &mut Self::Tx,
        run: Box<dyn FnOnce() + Send>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

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

    /// Counts the records of a topic.
    ///
    /// # Errors
    /// As [`read_records`](Self::read_records).
    fn count_records(
        &self,
        consumer: &str,
        topic: &Arc<str>,
    ) -> impl Future<Output = Result<RecordCounts, Error>> + Send;

    /// Returns the rows of a view, as of one moment: a value for each of its [columns](TopicView::columns), sorted by the first three of
    /// them. It reads no record, however many there are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a view that this adapter does not know. A transient error if the database
    /// does not answer: retry.
    fn view_rows(
        &self,
        view: TopicView,
    ) -> impl Future<Output = Result<Vec<Vec<serde_json::Value>>, Error>> + Send;
}
