//! The log lines of messages that fail.

use super::spans::{set_aside, trace_id};
use crate::store::{Failure, Next, ReceivedMessage};

/// Logs the failure of a message. A dead message needs an operator.
pub(super) fn log_failure(consumer: &str, received: &ReceivedMessage, failure: &Failure) {
    let (message_id, topic) = (&received.id, &*received.message.topic);
    let Failure { kind, error, attempts, next, .. } = failure;
    let trace_id = trace_id(&received.message);
    set_aside(consumer, received, failure);
    match next {
        Next::Retry(delay) => {
            tracing::warn!(consumer, %message_id, topic, trace_id, %kind, error, attempts, ?delay, "message set aside");
        }
        Next::Dead => {
            tracing::error!(consumer, %message_id, topic, trace_id, %kind, error, attempts, "message is dead");
        }
    }
}
