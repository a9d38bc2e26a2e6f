//! What a statement asks for.

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;

use messagekit_topic_store::OnSources;
use messagekit_topics::operations::NewSource;
use messagekit_wire::{Consume, Start};

use crate::query::Select;

/// One statement. Its `Display` writes it in canonical form, and [`parse`](crate::parse) reads that back as an equal command.
///
/// A topic is always a legal name of one. What a statement leaves out is `None`, and the program that runs it decides.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Command {
    /// `CREATE TOPIC [IF NOT EXISTS] topic [PARTITIONS n] [WITH (…)]`
    CreateTopic(CreateTopic),
    /// `DROP TOPIC [IF EXISTS] topic [CASCADE]`
    DropTopic(DropTopic),
    /// `CLEAR TOPIC topic`: deletes its records, and keeps the topic.
    ClearTopic {
        /// The topic.
        topic: Arc<str>,
    },
    /// `ALTER TOPIC topic SET RETENTION WITH (…)`
    SetRetention {
        /// The topic.
        topic: Arc<str>,
        /// At least one option is said.
        retention: RetentionOptions,
    },
    /// `ALTER TOPIC topic CLEAR RETENTION`: keeps records for ever.
    ClearRetention {
        /// The topic.
        topic: Arc<str>,
    },
    /// `ALTER TOPIC topic ADD [OR REPLACE] SOURCE table ON change [, …] [WHERE …] [PARTITION BY (…)] [WITH (…)]`
    ///
    /// A statement cannot say that replicated rows are events, too.
    AddSource(NewSource),
    /// `ALTER TOPIC topic DROP SOURCE table`
    DropSource(DropSource),
    /// `CONSUME FROM topic [PARTITION p] [GROUP 'g'] [FROM LATEST | EARLIEST | n] [LIMIT k]`
    ///
    /// A statement has no times and no treatment of deleted records; they have no effect.
    Consume(Consume),
    /// `ACK topic GROUP 'g' [PARTITION p] UPTO OFFSET n`
    Acknowledge(Acknowledge),
    /// `RESET CONSUMER GROUP 'g' ON topic [PARTITION p] TO n | EARLIEST | LATEST`
    ResetGroup(ResetGroup),
    /// `DROP CONSUMER GROUP [IF EXISTS] 'g' ON topic`
    DropGroup(DropGroup),
    /// `SHOW TOPICS`
    ShowTopics,
    /// `SHOW ROUTES [FOR topic]`
    ShowRoutes {
        /// Only the sources of this topic.
        topic: Option<Arc<str>>,
    },
    /// `SELECT … FROM system.…`
    Select(Select),
}

/// What a statement says of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetentionLimit {
    /// `NULL`: there is none.
    Unlimited,
    /// Seconds or bytes, in the range of a [`RetentionRule`](messagekit_topic_store::RetentionRule).
    At(NonZeroU64),
}

/// What a statement says of retention. An option that is `None` is not said, which is something else than `NULL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetentionOptions {
    /// `retention_seconds`: the age from which a record may be deleted.
    pub seconds: Option<RetentionLimit>,
    /// `retention_max_bytes`: the most bytes of a partition.
    pub max_bytes: Option<RetentionLimit>,
    /// `retention_consumed`: whether a record stays until every consumer has handled it.
    pub consumed: Option<bool>,
    /// `retention_unhandled_seconds`: the age from which a record does not wait for consumers.
    pub unhandled_seconds: Option<RetentionLimit>,
}

/// A topic that is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateTopic {
    /// Its name.
    pub topic: Arc<str>,
    /// It is no error that the topic exists.
    pub if_not_exists: bool,
    /// The number of its partitions.
    pub partitions: Option<NonZeroU32>,
    /// How long it keeps its records.
    pub retention: RetentionOptions,
    /// `key`: the field that is the key of a record.
    pub key: Option<String>,
    /// `dedup`: the fields that no two records may have in common, as they are written; none for a topic that takes everything.
    pub dedup: Vec<String>,
    /// `published`: its events also go to a broker.
    pub is_published: bool,
}

/// A topic that is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropTopic {
    /// The topic.
    pub topic: Arc<str>,
    /// It is no error that the topic is missing.
    pub if_exists: bool,
    /// [`OnSources::Drop`] with `CASCADE`.
    pub on_sources: OnSources,
}

/// A table that is no source any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropSource {
    /// The topic.
    pub topic: Arc<str>,
    /// The table, as in [`NewSource`].
    pub table: String,
}

/// Records that a group has handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acknowledge {
    /// The topic.
    pub topic: Arc<str>,
    /// The consumer.
    pub group: String,
    /// The partition, from 0.
    pub partition: Option<i32>,
    /// The last offset, from 0, which is handled, too.
    pub up_to: i64,
}

/// A group that is moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResetGroup {
    /// The consumer.
    pub group: String,
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0; `None` for all of them.
    pub partition: Option<i32>,
    /// The record that it reads next.
    pub to: Start,
}

/// A group that is forgotten in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DropGroup {
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: Arc<str>,
    /// It is no error that the group has not read the topic.
    pub if_exists: bool,
}
