//! The JSON form of what a database knows of a consumer.

use jiff::Timestamp;
use messagekit::operations::{ConsumerPosition, ConsumerStatus, FailedMessageState, UnhandledMessages};
use serde::Serialize;
use utoipa::ToSchema;

/// A consumer. Each count is at most 10000, which means at least as many.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConsumerView {
    database: String,
    /// Its name; `queue:` or `topic:` and a name for a broker's dead letters.
    consumer: String,
    /// When the marker with the greatest id was written: the newest one, where ids are of version 7. A foreign id beyond those of now does
    /// not hide the newer ones.
    #[schema(value_type = Option<String>, format = DateTime)]
    newest_marker_at: Option<Timestamp>,
    /// When the database last saw a marker of it, or a process of it that recorded its dedup window.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_activity_at: Option<Timestamp>,
    /// The longest dedup window that its processes have recorded, in seconds; null when one of them takes messages of any age, or none has
    /// recorded one.
    dedup_window_seconds: Option<u64>,
    positions: Vec<PositionView>,
    /// Its failed messages by state; a state without any is missing.
    failed_messages: Vec<StateCount>,
    /// Keys that a failed message blocks.
    blocked_keys: u64,
    /// Failed messages whose retry is due and has not run.
    retries_due: u64,
    /// When its oldest open failed message was set aside.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_failed_at: Option<Timestamp>,
    /// What it has passed over because it had no handler for its type, of types whose last message is not older than 30 days: those similar
    /// to a handled one first, then most messages first, at most 20 types.
    unhandled: Vec<UnhandledView>,
}

/// Messages of one type that a consumer has passed over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UnhandledView {
    topic: String,
    /// The type; empty if the messages have none.
    event_type: String,
    /// The types that the consumer handled and of which this one may be a misspelling, the most similar first.
    similar: Vec<String>,
    /// Number of messages since `first_at`.
    messages: u64,
    /// When they were noted first.
    #[schema(value_type = String, format = DateTime)]
    first_at: Timestamp,
    /// When they were noted last.
    #[schema(value_type = String, format = DateTime)]
    last_at: Timestamp,
}

impl From<UnhandledMessages> for UnhandledView {
    fn from(of: UnhandledMessages) -> Self {
        let UnhandledMessages { topic, event_type, similar, messages, first_at, last_at } = of;
        Self { topic: topic.to_string(), event_type, similar, messages, first_at, last_at }
    }
}

/// A number of failed messages.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct StateCount {
    pub(crate) state: FailedMessageState,
    pub(crate) failed_messages: u64,
}

/// The position of a consumer in a partition.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PositionView {
    topic: String,
    partition: i32,
    /// The offset that it reads next.
    next: i64,
    /// Records that it has not settled; null for a broker's topic, whose end the database does not know.
    behind: Option<u64>,
}

impl ConsumerView {
    pub(crate) fn of(database: &str, status: ConsumerStatus) -> Self {
        let last_activity_at = status.last_activity_at();
        let position = |position: ConsumerPosition| PositionView {
            topic: position.topic.to_string(),
            partition: position.partition,
            next: position.next,
            behind: position.behind,
        };
        let count = |(state, failed_messages): (messagekit::operations::FailedMessageState, u64)| {
            StateCount { state, failed_messages }
        };
        Self {
            database: database.to_owned(),
            consumer: status.consumer,
            newest_marker_at: status.newest_marker_at,
            last_activity_at,
            dedup_window_seconds: status.dedup_window.map(|window| window.as_secs()),
            positions: status.positions.into_iter().map(position).collect(),
            failed_messages: status.failed_messages.into_iter().map(count).collect(),
            blocked_keys: status.blocked_keys,
            retries_due: status.retries_due,
            oldest_failed_at: status.oldest_failed_at,
            unhandled: status.unhandled.into_iter().map(UnhandledView::from).collect(),
        }
    }
}
