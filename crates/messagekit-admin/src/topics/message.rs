//! A record as clients see it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit_topics::operations::ConsumedRecord;
use messagekit_wire::TopicMessage;

/// Returns a record in the form of an answer.
pub(super) fn message(record: ConsumedRecord) -> TopicMessage {
    TopicMessage {
        topic_id: record.topic,
        partition_id: record.partition,
        offset: record.offset,
        payload: STANDARD.encode(&record.payload),
        key: record.key,
        timestamp_ms: record.timestamp.as_millisecond(),
        user: record.actor,
        op: record.operation.to_string(),
        event_id: record.event_id,
        event_type: record.event_type,
        attempt: (record.attempt > 0).then_some(record.attempt),
        headers: record.headers,
    }
}
