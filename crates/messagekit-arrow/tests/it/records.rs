//! The records of the tests.

use messagekit::log::Record;
use messagekit::{Message, Position};
use messagekit_arrow::{Columns, RecordBatch, batch};

/// Every column.
pub(crate) fn all() -> Columns {
    Columns::default().with_headers().with_event_id()
}

pub(crate) fn record(offset: i64, message: Message) -> Record {
    let position = Position { topic: "orders".into(), partition: 2, offset };
    Record { message, position, timestamp: None, is_tombstone: false }
}

/// One record of each kind: JSON, a tombstone, bytes that are no text, and one with nothing.
pub(crate) fn kinds() -> Vec<Record> {
    let json =
        Message::new("orders", "{\"pence\": 12345678901234567890.10,\r\n \"to\": \"Zoë, \\\"north\\\"\"}");
    let json = json.with_key("o-1").with_header("id", "m-1").with_header("tenant", vec![0xff, 0]);
    let timestamp = Some("2026-01-31T12:00:00.0079Z".parse().unwrap());
    vec![
        Record { timestamp, ..record(7, json) },
        Record { is_tombstone: true, ..record(8, Message::new("orders", "").with_key("o-1")) },
        record(9, Message::new("orders", vec![0xfe, 1]).with_key(vec![0xff]).with_header("ce_id", "c-9")),
        record(10, Message::new("orders", "")),
    ]
}

pub(crate) fn batch_of_kinds(columns: Columns) -> RecordBatch {
    batch(&kinds(), columns).unwrap()
}
