//! The JSON form of a failed message.

use jiff::Timestamp;
use messagekit::operations::{FailedMessageHead, FailedMessageState, Origin, StateReason};
use serde::Serialize;
use utoipa::ToSchema;

use crate::byte_text::ByteText;
use crate::page::Listed;

/// A failed message without the content of its message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedMessageView {
    /// The database it is in.
    pub(crate) database: String,
    /// Its number there.
    #[schema(minimum = 1)]
    pub(crate) id: i64,
    /// The consumer that could not handle it; `queue:` or `topic:` and a name for a broker's dead letter.
    consumer: String,
    origin: Origin,
    /// For a broker's dead letter: the queue or topic that a retry sends it to.
    return_to: Option<String>,
    /// The message's id, or its position.
    message_id: String,
    /// The topic or queue it was read from.
    topic: String,
    partition: Option<i32>,
    offset: Option<i64>,
    /// The message's key.
    key: Option<ByteText>,
    event_type: Option<String>,
    state: FailedMessageState,
    reason: StateReason,
    /// The number of failed handler runs.
    attempts: u32,
    /// The number of runs that ended with a crash of the process.
    crash_count: u32,
    /// Whether it takes part in the order of its key.
    parked: bool,
    /// The number of failed messages of its key that wait for it.
    holds_back: u64,
    /// When it runs again; while it runs, the end of the lease.
    #[schema(value_type = Option<String>, format = DateTime)]
    due: Option<Timestamp>,
    /// The kind of the failure, in one word.
    kind: String,
    /// The error with its causes.
    error: String,
    /// Equal for failures that differ only in numbers.
    fingerprint: String,
    #[schema(value_type = String, format = DateTime)]
    set_aside_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// The length of its payload.
    payload_bytes: u64,
}

impl FailedMessageView {
    pub(crate) fn of(database: &str, head: FailedMessageHead) -> Self {
        Self {
            database: database.to_owned(),
            id: head.id,
            consumer: head.consumer,
            origin: head.origin,
            return_to: head.return_to,
            message_id: head.message_id.to_string(),
            topic: head.topic.to_string(),
            partition: head.position.as_ref().map(|position| position.partition),
            offset: head.position.as_ref().map(|position| position.offset),
            key: head.key.map(|key| ByteText::of(&key)),
            event_type: head.event_type,
            state: head.state,
            reason: head.reason,
            attempts: head.attempts,
            crash_count: head.crash_count,
            parked: head.parked,
            holds_back: head.holds_back,
            due: head.due,
            kind: head.kind,
            error: head.error,
            fingerprint: head.fingerprint,
            set_aside_at: head.set_aside_at,
            changed_at: head.changed_at,
            payload_bytes: head.payload_bytes,
        }
    }
}

impl Listed for FailedMessageHead {
    fn number(&self) -> i64 {
        self.id
    }

    fn time(&self) -> Timestamp {
        self.set_aside_at
    }
}
