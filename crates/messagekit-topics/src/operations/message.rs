//! A record in the form of an answer.

use messagekit::headers;
use messagekit::log::Record;
use messagekit_wire::TopicMessage;

/// The header in which a table source says what has happened to the row.
const OPERATION: &str = "op";
/// The header in which it says who did it.
const ACTOR: &str = "actor";

/// Returns a record as any language reads it; `attempt` is 0 for a record that was only read. Bytes of a key that are no UTF-8 are replaced.
pub(super) fn message(record: Record, attempt: u32) -> TopicMessage {
    let timestamp_ms = record.stored_at().as_millisecond();
    let Record { message, position, .. } = record;
    let mut free = message.headers.free();
    for (name, value) in message.headers.iter() {
        // A client cannot tell a CloudEvent from other JSON without its content type.
        let is_json = name == headers::CONTENT_TYPE && value == headers::JSON;
        let is_own = is_json || [headers::ID, headers::EVENT_TYPE, headers::FREE_HEADERS].contains(&name);
        if let (false, Ok(value)) = (is_own, std::str::from_utf8(value)) {
            free.insert(name.to_owned(), value.to_owned());
        }
    }
    let text = |name| message.headers.text(name).map(str::to_owned);
    TopicMessage {
        topic_id: message.topic.to_string(),
        partition_id: position.partition,
        offset: position.offset,
        key: message.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
        timestamp_ms,
        user: free.remove(ACTOR),
        op: operation(free.get(OPERATION).map_or("", String::as_str)).to_owned(),
        event_id: text(headers::ID),
        event_type: text(headers::EVENT_TYPE),
        attempt: (attempt > 0).then_some(attempt),
        headers: free,
        payload: message.payload,
    }
}

/// A record that no table source has made is an insert.
fn operation(word: &str) -> &'static str {
    match word {
        "update" => "Update",
        "delete" => "Delete",
        "truncate" => "Truncate",
        _ => "Insert",
    }
}
