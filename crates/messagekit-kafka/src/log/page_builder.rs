//! Collects the records of one page.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use messagekit::log::Record;
use messagekit::{Headers, Message, Position};
use rdkafka::message::{BorrowedMessage, Message as _};

use crate::record::read_headers;

/// What a record takes beside its key, headers and payload.
const RECORD: usize = 200;

/// Collects the records of one page of a partition.
///
/// Keys and payloads are copied once, one behind the other into a buffer that the records of the page share: an allocation per page instead
/// of two per record. The buffer lives as long as any of them.
#[derive(Debug)]
pub(super) struct PageBuilder {
    topic: Arc<str>,
    partition: i32,
    buffer: BytesMut,
    rows: Vec<Row>,
    headers: usize,
}

/// A record whose bytes are in the buffer: first the key, then the payload.
#[derive(Debug)]
struct Row {
    offset: i64,
    timestamp: Option<Timestamp>,
    key: Option<usize>,
    payload: Option<usize>,
    headers: Headers,
}

impl PageBuilder {
    pub(super) fn new(topic: Arc<str>, partition: i32) -> Self {
        Self { topic, partition, buffer: BytesMut::new(), rows: Vec::new(), headers: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns the bytes of memory that the page takes.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len() + self.headers + self.rows.len() * RECORD
    }

    /// Copies a record of the partition.
    pub(super) fn push(&mut self, record: &BorrowedMessage<'_>) {
        let headers = record.headers().map(read_headers).unwrap_or_default();
        self.headers += headers.size();
        let timestamp = record.timestamp().to_millis().map(moment);
        self.add(record.offset(), timestamp, record.key(), record.payload(), headers);
    }

    fn add(
        &mut self,
        offset: i64,
        timestamp: Option<Timestamp>,
        key: Option<&[u8]>,
        payload: Option<&[u8]>,
        headers: Headers,
    ) {
        for bytes in [key, payload].into_iter().flatten() {
            self.buffer.extend_from_slice(bytes);
        }
        let (key, payload) = (key.map(<[u8]>::len), payload.map(<[u8]>::len));
        self.rows.push(Row { offset, timestamp, key, payload, headers });
    }

    /// Returns the records in their order, and begins the next page.
    pub(super) fn take(&mut self) -> Vec<Record> {
        let shared = std::mem::take(&mut self.buffer).freeze();
        let rows = std::mem::take(&mut self.rows);
        // The next page is often as large as this one.
        self.rows.reserve(rows.len());
        self.buffer.reserve(shared.len());
        self.headers = 0;
        let mut from = 0;
        let mut next = |length: usize| {
            let bytes = shared.slice(from..from + length);
            from += length;
            bytes
        };
        let record = |row: Row| Record {
            message: Message {
                topic: Arc::clone(&self.topic),
                key: row.key.map(&mut next),
                headers: row.headers,
                payload: row.payload.map_or_else(Bytes::new, &mut next),
            },
            position: Position {
                topic: Arc::clone(&self.topic),
                partition: self.partition,
                offset: row.offset,
            },
            timestamp: row.timestamp,
            is_tombstone: row.payload.is_none(),
        };
        rows.into_iter().map(record).collect()
    }
}

/// Returns a time in milliseconds, or the last one of the calendar: a producer that writes microseconds is ahead, not without a time.
fn moment(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_behind_the_calendar_is_its_last_one() {
        assert_eq!(moment(1_700_000_000_000_000), Timestamp::MAX);
        assert_eq!(moment(i64::MIN), Timestamp::MIN);
        assert_eq!(moment(7).as_millisecond(), 7);
    }

    #[test]
    fn records_of_a_page_keep_their_own_bytes() {
        let mut page = PageBuilder::new("orders".into(), 4);
        page.add(7, None, Some(b"k"), Some(b"first"), Headers::new());
        page.add(9, None, Some(b""), None, Headers::new());
        page.add(10, Timestamp::from_millisecond(1_000).ok(), None, Some(b""), Headers::new());
        page.add(11, None, Some(b"key"), Some(b"last"), Headers::new());
        assert_eq!((page.len(), page.bytes()), (4, 13 + 4 * RECORD));
        let records = page.take();
        let seen: Vec<_> = records
            .iter()
            .map(|record| {
                let Message { key, payload, .. } = &record.message;
                (record.position.offset, key.as_deref(), &payload[..], record.is_tombstone)
            })
            .collect();
        assert_eq!(
            seen,
            [
                (7, Some(&b"k"[..]), &b"first"[..], false),
                (9, Some(b""), b"", true),
                (10, None, b"", false),
                (11, Some(b"key"), b"last", false),
            ]
        );
        assert_eq!(records[2].timestamp, Timestamp::from_second(1).ok());
        assert_eq!(records[0].position.to_string(), "orders/4/7");
        assert_eq!((page.len(), page.bytes(), page.take().len()), (0, 0, 0));
    }
}
