//! What messagekit adds to the data of an event: fields beside it, and headers.

use messagekit::headers::{CONTENT_TYPE, CREATED_AT, EVENT_TYPE, FREE_HEADERS, ID, JSON, TRACEPARENT};
use serde_json::{Value, json};

/// The id of the event in samples.
const SAMPLE_ID: &str = "01981d2f-6b7e-7c11-9f2e-6f0f3c2b9a01";

/// Returns the schema of the fields beside those of an event.
pub(super) fn schema() -> Value {
    let text = |description: &str| json!({"type": "string", "description": description});
    json!({
        "type": "object",
        "description": "The metadata of an event, beside its own fields.",
        "required": ["eventId", "eventType", "occurredAt", "source", "dataVersion"],
        "properties": {
            "eventId": text("Identifies the event on every hop; equal to the header `id`."),
            "eventType": text("The event type."),
            "aggregateId": text("The key whose events keep their order."),
            "occurredAt": {
                "type": "string",
                "format": "date-time",
                "description": "When it happened, by the clock of the writer.",
            },
            "source": text("The outbox or service that wrote it."),
            "dataVersion": text("MAJOR.MINOR of the event's own fields."),
            "correlationId": text("The id of the first event of the chain."),
            "causationId": text("The id of the event that led to this one."),
            "metadata": {"type": "object", "description": "Additional values of the writer."},
        },
    })
}

/// Returns the schema of the headers of an event.
pub(super) fn headers(event_type: &str) -> Value {
    json!({
        "type": "object",
        "required": [ID, EVENT_TYPE, CONTENT_TYPE],
        "properties": {
            ID: {"type": "string", "description": "The id of the message: equal for every copy of it."},
            EVENT_TYPE: {"type": "string", "const": event_type, "description": "The event type."},
            CONTENT_TYPE: {"type": "string", "const": JSON, "description": "The content type of the payload."},
            CREATED_AT: {
                "type": "string",
                "format": "date-time",
                "description": "When the database wrote the event to the outbox.",
            },
            TRACEPARENT: {"type": "string", "description": "The W3C trace context of the writer."},
            FREE_HEADERS: {"type": "string", "description": "One JSON object with the headers that the writer added."},
        },
    })
}

/// Returns a sample of the headers.
pub(super) fn sample_headers(event_type: &str) -> Value {
    json!({ID: SAMPLE_ID, EVENT_TYPE: event_type, CONTENT_TYPE: JSON, CREATED_AT: "2026-01-31T12:00:00Z"})
}

/// Returns a sample of the data with its envelope.
pub(super) fn sample(event_type: &str, version: &str, source: &str, data: &Value) -> Value {
    let mut sample = json!({
        "eventId": SAMPLE_ID,
        "eventType": event_type,
        "occurredAt": "2026-01-31T12:00:00Z",
        "source": source,
        "dataVersion": version,
    });
    if let (Some(sample), Some(data)) = (sample.as_object_mut(), data.as_object()) {
        for (name, value) in data {
            sample.entry(name).or_insert_with(|| value.clone());
        }
    }
    sample
}
