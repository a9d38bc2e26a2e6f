//! The state of a database at a glance: its outbox and its consumers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::Error;
use crate::event_history::PublisherState;
use crate::failed_messages::FailedMessageState;
use crate::outbox_health::OutboxLag;
use crate::store::BoxFuture;

/// Where a status stops counting: a count that equals it means at least as many.
pub const COUNT_LIMIT: u32 = 10_000;

/// The state of an outbox. Each count is at most [`COUNT_LIMIT`].
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxStatus {
    /// How far the publisher is.
    pub publisher: PublisherState,
    /// What has not left, and why: as health answers it.
    pub lag: OutboxLag,
    /// Number of events that wait for their time. This and the next two are zero if [`LagPart::Others`](crate::operations::LagPart::Others)
    /// is unread.
    pub delayed: u64,
    /// Number of events that the broker has refused.
    pub rejected: u64,
    /// Number of replays that are running.
    pub running_replays: u64,
}

/// What a database knows of one consumer. Each count is at most 10,000, which means at least as many.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumerStatus {
    /// Its name; `queue:` or `topic:` and a name for dead letters that a broker kept, `route:` and a name for rows of a table source.
    pub consumer: String,
    /// When the marker with the greatest id was written, and not one whose id is far beyond the ids of now. Ids of messagekit
    /// ascend with their time; among foreign ids, it is the time of any marker.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub newest_marker_at: Option<Timestamp>,
    /// When the database last saw a marker of it, or a process of it that recorded its dedup window: at its start, and then every ten seconds.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub last_activity_at: Option<Timestamp>,
    /// The longest dedup window that its processes have recorded, in seconds over HTTP; null when one of them takes messages of any age, or none has recorded one.
    #[serde(rename = "dedup_window_seconds", serialize_with = "whole_seconds")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<u64>))]
    pub dedup_window: Option<Duration>,
    /// Its positions, by topic and partition, at most 1,000.
    pub positions: Vec<ConsumerPosition>,
    /// Its failed messages by state; a state without any is missing.
    pub failed_messages: Vec<StateCount>,
    /// Number of keys that a failed message blocks.
    pub blocked_keys: u64,
    /// Number of failed messages whose retry is due and has not run.
    pub retries_due: u64,
    /// When its oldest open failed message was set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub oldest_failed_at: Option<Timestamp>,
    /// What it has passed over, of types whose last message is not older than 30 days: those similar to a handled one first, then most
    /// messages first, at most 20 types.
    pub unhandled: Vec<UnhandledMessages>,
}

/// How far the clock of a producer may be ahead.
const AHEAD: Duration = Duration::from_secs(60 * 60);

/// Returns an id that is greater than each of version 7 that was made by now, and that is at most an hour ahead. A foreign id that is greater
/// stays the greatest for ever: its marker is not the newest one.
pub fn beyond_ids_of(now: Timestamp) -> String {
    let millis = (now.as_millisecond().max(0) + AHEAD.as_millis() as i64).unsigned_abs();
    format!("{:08x}-{:04x}", millis >> 16, millis & 0xffff)
}

/// The time for which messages without a handler are kept and shown after the last of their type.
pub const UNHANDLED_SHOWN: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The most types without a handler that are shown of one consumer.
pub const UNHANDLED_LIMIT: u32 = 20;

/// Messages of one type that a consumer has passed over, because it had no handler for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnhandledMessages {
    /// The topic.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub topic: Arc<str>,
    /// The type; empty if the messages have none.
    pub event_type: String,
    /// The types that the consumer handled and of which this one may be a misspelling, the most similar first.
    pub similar: Vec<String>,
    /// Number of messages since `first_at`, also of those that came twice, and of those that a database has kept without an answer. A process
    /// that is killed has not counted those of its last ten seconds.
    pub messages: u64,
    /// When they were noted first, by the clock of the database.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_at: Timestamp,
    /// When they were noted last.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_at: Timestamp,
}

/// A number of failed messages in one state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StateCount {
    /// The state.
    pub state: FailedMessageState,
    /// Number of failed messages.
    pub failed_messages: u64,
}

/// Serialises a time in whole seconds.
pub(crate) fn whole_seconds<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    time.map(|time| time.as_secs()).serialize(serializer)
}

/// The position of a consumer in one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumerPosition {
    /// The topic.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The offset that it reads next; with key lanes, the lowest of them.
    pub next: i64,
    /// Number of records that it has not settled, without those that retention has deleted; null for a broker's topic, whose end is not
    /// known here. For a consumer that acknowledges records one by one it includes the records behind the first open one.
    pub behind: Option<u64>,
}

/// Tells the state of a database by bounded reads: however many rows there are, an answer takes some milliseconds.
pub trait DatabaseStatus: Send + Sync {
    /// Returns the state of the outbox.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>>;

    /// Returns the state of each consumer that has a marker, a failed message, a position or a dedup window here, by name, at
    /// most 500. One that only claims records has a position.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>>;

    /// Returns how long ago a process of the consumer last noted that it runs, by the clock of the database, or `None` if none
    /// ever has.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn last_seen<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<Option<Duration>, Error>>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MessageId;

    #[test]
    fn ids_of_now_are_below_the_bound_and_hostile_ones_above() {
        let bound = beyond_ids_of(Timestamp::now());
        assert!(MessageId::new().to_string() < bound);
        assert!(beyond_ids_of(Timestamp::now() - 2 * AHEAD) < MessageId::new().to_string());
        for hostile in ["zzzz", "ffffffff-ffff-7fff-8000-000000000000", "\u{10ffff}"] {
            assert!(hostile > &*bound, "{hostile} {bound}");
        }
        assert_eq!(beyond_ids_of(Timestamp::UNIX_EPOCH), "00000036-ee80");
    }
}
