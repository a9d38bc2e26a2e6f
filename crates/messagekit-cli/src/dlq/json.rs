//! Letters as JSON.

use messagekit::{LetterHead, LetterTotal};
use serde_json::{Value, json};

use crate::output::json_bytes;

/// What the list says of a letter; `show` adds headers and payload.
pub(super) fn head(letter: &LetterHead) -> Value {
    let place = letter.place.as_ref();
    json!({
        "id": letter.id,
        "consumer": letter.consumer,
        "origin": letter.origin.as_str(),
        "return_to": letter.return_to,
        "state": letter.state.as_str(),
        "message_id": letter.message_id.as_str(),
        "event_type": letter.event_type,
        "topic": &*letter.topic,
        "partition": place.map(|place| place.partition),
        "offset": place.map(|place| place.offset),
        "key": letter.key.as_deref().map(json_bytes),
        "attempts": letter.attempts,
        "kills": letter.kills,
        "parked": letter.parked,
        "holds_back": letter.holds_back,
        "due": letter.due.map(|due| due.to_string()),
        "kind": letter.kind,
        "error": letter.error,
        "fingerprint": letter.fingerprint,
        "set_aside_at": letter.set_aside_at.to_string(),
        "changed_at": letter.changed_at.to_string(),
        "payload_bytes": letter.payload_bytes,
    })
}

pub(super) fn total(total: &LetterTotal) -> Value {
    json!({ "consumer": total.consumer, "state": total.state.as_str(), "letters": total.letters })
}
