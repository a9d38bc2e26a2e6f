//! The JSON form of a failed message.

use jiff::Timestamp;
use messagekit::operations::{FailedMessageHead, FailedMessageState, Origin, StateReason};
use serde::{Deserialize, Serialize};
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
    origin: OriginWord,
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
    state: StateWord,
    reason: ReasonWord,
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
            origin: head.origin.into(),
            return_to: head.return_to,
            message_id: head.message_id.to_string(),
            topic: head.topic.to_string(),
            partition: head.position.as_ref().map(|position| position.partition),
            offset: head.position.as_ref().map(|position| position.offset),
            key: head.key.map(|key| ByteText::of(&key)),
            event_type: head.event_type,
            state: head.state.into(),
            reason: head.reason.into(),
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

/// The state of a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateWord {
    RetryScheduled,
    /// Waiting for an earlier failed message of its key.
    Blocked,
    Dead,
    RetryRequested,
    Resolved,
    Discarded,
}

impl From<FailedMessageState> for StateWord {
    fn from(state: FailedMessageState) -> Self {
        match state {
            FailedMessageState::RetryScheduled => Self::RetryScheduled,
            FailedMessageState::Blocked => Self::Blocked,
            FailedMessageState::RetryRequested => Self::RetryRequested,
            FailedMessageState::Resolved => Self::Resolved,
            FailedMessageState::Discarded => Self::Discarded,
            _ => Self::Dead,
        }
    }
}

/// Why a failed message is in its state. The transition to the state stored it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ReasonWord {
    /// It was set aside: scheduled, or dead because its failure allows no retry.
    SetAside,
    /// It was parked behind an earlier open message of its key.
    KeyBlocked,
    /// No earlier message of its key is open any more.
    KeyFreed,
    /// A scheduled run failed: it is scheduled again, or dead.
    RunFailed,
    RetryRequested,
    /// The run that an operator requested failed.
    RequestedRunFailed,
    /// A run applied it, or its broker has it back.
    Applied,
    Discarded,
    /// An operator undid its discard.
    DiscardUndone,
}

impl From<StateReason> for ReasonWord {
    fn from(reason: StateReason) -> Self {
        match reason {
            StateReason::KeyBlocked => Self::KeyBlocked,
            StateReason::KeyFreed => Self::KeyFreed,
            StateReason::RunFailed => Self::RunFailed,
            StateReason::RetryRequested => Self::RetryRequested,
            StateReason::RequestedRunFailed => Self::RequestedRunFailed,
            StateReason::Applied => Self::Applied,
            StateReason::Discarded => Self::Discarded,
            StateReason::DiscardUndone => Self::DiscardUndone,
            _ => Self::SetAside,
        }
    }
}

/// The component that stored a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OriginWord {
    /// A consumer, in its own database.
    Store,
    /// RabbitMQ, into a dead-letter queue.
    Queue,
    /// A program on Kafka, into a dead-letter topic.
    Topic,
}

impl From<Origin> for OriginWord {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::Store => Self::Store,
            Origin::Queue => Self::Queue,
            Origin::Topic => Self::Topic,
        }
    }
}

impl From<OriginWord> for Origin {
    fn from(origin: OriginWord) -> Self {
        match origin {
            OriginWord::Store => Self::Store,
            OriginWord::Queue => Self::Queue,
            OriginWord::Topic => Self::Topic,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_own_word() {
        for reason in StateReason::ALL {
            let word = serde_json::to_value(ReasonWord::from(reason)).expect("a word is JSON");
            assert_eq!(word, reason.as_str());
        }
    }
}
