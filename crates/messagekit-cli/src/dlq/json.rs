//! Failed messages as JSON.

use messagekit::operations::{FailedMessageHead, FailedMessageTotal};
use serde_json::{Value, json};

use crate::output::json_bytes;

/// The fields of a list entry; `show` adds headers and payload.
pub(super) fn head(failed_message: &FailedMessageHead) -> Value {
    let position = failed_message.position.as_ref();
    json!({
        "id": failed_message.id,
        "consumer": failed_message.consumer,
        "origin": failed_message.origin.as_str(),
        "return_to": failed_message.return_to,
        "state": failed_message.state.as_str(),
        "reason": failed_message.reason.as_str(),
        "message_id": failed_message.message_id.as_str(),
        "event_type": failed_message.event_type,
        "topic": &*failed_message.topic,
        "partition": position.map(|position| position.partition),
        "offset": position.map(|position| position.offset),
        "key": failed_message.key.as_deref().map(json_bytes),
        "attempts": failed_message.attempts,
        "crash_count": failed_message.crash_count,
        "parked": failed_message.parked,
        "holds_back": failed_message.holds_back,
        "due": failed_message.due.map(|due| due.to_string()),
        "kind": failed_message.kind,
        "error": failed_message.error,
        "fingerprint": failed_message.fingerprint,
        "set_aside_at": failed_message.set_aside_at.to_string(),
        "changed_at": failed_message.changed_at.to_string(),
        "payload_bytes": failed_message.payload_bytes,
    })
}

pub(super) fn total(total: &FailedMessageTotal) -> Value {
    json!({ "consumer": total.consumer, "state": total.state.as_str(), "failed_messages": total.failed_messages })
}
