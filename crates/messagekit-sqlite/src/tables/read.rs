//! Reads stored records.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::log::Record;
use messagekit::{Error, Headers, Message, Position, headers};
use rusqlite::{Connection, OptionalExtension, Row};

use super::columns::Columns;
use super::{timestamp, topics};
use crate::error::from_sqlite;

const SELECT: &str =
    "SELECT pos, event_id, event_type, key, content_type, traceparent, created_at, headers, payload
     FROM messagekit_topic_records";

/// A record of a partition.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) offset: i64,
    pub(crate) created_at: i64,
    pub(crate) message: Message,
}

impl Stored {
    /// Returns the record as readers of the log see it.
    pub(crate) fn into_record(self, topic: &Arc<str>, partition: i32) -> Result<Record, Error> {
        let position = Position { topic: topic.clone(), partition, offset: self.offset };
        Ok(Record {
            message: self.message,
            position,
            timestamp: Some(timestamp(self.created_at)?),
            is_tombstone: false,
        })
    }
}

/// Reads records of a partition from an offset on: at most `max`, and no more once they hold `max_bytes`.
///
/// Returns at least one record when there is one.
pub(crate) fn read(
    conn: &Connection,
    topic: &Arc<str>,
    tp: i64,
    from: i64,
    max: usize,
    max_bytes: usize,
) -> Result<Vec<Stored>, Error> {
    let mut select = conn
        .prepare_cached(&format!("{SELECT} WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT ?3"))
        .map_err(from_sqlite)?;
    let range =
        (topics::position(tp, from), topics::position(tp + 1, 0), i64::try_from(max).unwrap_or(i64::MAX));
    let mut rows = select.query(range).map_err(from_sqlite)?;
    let mut records = Vec::new();
    let mut bytes = 0;
    while bytes < max_bytes
        && let Some(row) = rows.next().map_err(from_sqlite)?
    {
        let record = stored(topic, row)?;
        bytes += record.message.size();
        records.push(record);
    }
    Ok(records)
}

/// Returns when the first kept record of a partition from an offset on was written, or `None` without one.
pub(crate) fn created_at(conn: &Connection, tp: i64, from: i64) -> Result<Option<i64>, Error> {
    conn.prepare_cached(
        "SELECT created_at FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT 1",
    )
    .and_then(|mut select| {
        let range = (topics::position(tp, from), topics::position(tp + 1, 0));
        select.query_row(range, |row| row.get(0)).optional()
    })
    .map_err(from_sqlite)
}

/// Returns the offset of the first record of a partition that was written at this time or later. Clocks jump, so no record is passed over
/// because of those beside it.
pub(crate) fn first_since(conn: &Connection, tp: i64, time: i64) -> Result<Option<i64>, Error> {
    conn.prepare_cached(
        "SELECT pos FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 AND created_at >= ?3 ORDER BY pos LIMIT 1",
    )
    .and_then(|mut select| {
        let range = (topics::position(tp, 0), topics::position(tp + 1, 0), time);
        select.query_row(range, |row| row.get(0).map(topics::offset)).optional()
    })
    .map_err(from_sqlite)
}

/// Reads the record at a position, or returns `None` when it is no longer kept.
pub(crate) fn at(conn: &Connection, topic: &Arc<str>, position: i64) -> Result<Option<Stored>, Error> {
    try_at(conn, topic, position)?.transpose()
}

/// As [`at`], for a caller that continues after an unreadable record: the inner error concerns that record alone.
pub(crate) fn try_at(
    conn: &Connection,
    topic: &Arc<str>,
    position: i64,
) -> Result<Option<Result<Stored, Error>>, Error> {
    let mut select = conn.prepare_cached(&format!("{SELECT} WHERE pos = ?1")).map_err(from_sqlite)?;
    let mut rows = select.query([position]).map_err(from_sqlite)?;
    Ok(rows.next().map_err(from_sqlite)?.map(|row| stored(topic, row)))
}

/// Adds the header with the time at which an event was written, in the form and at the position of every publishing mode:
/// six digits, before the user's headers. Keeps an existing one.
pub(crate) fn timed(mut headers: Headers, created_at: i64) -> Result<Headers, Error> {
    if headers.get(headers::CREATED_AT).is_some() {
        return Ok(headers);
    }
    let time = format!("{:.6}", timestamp(created_at)?);
    if headers.get(headers::FREE_HEADERS).is_none() {
        headers.set(headers::CREATED_AT, time);
        return Ok(headers);
    }
    let mut timed = Headers::new();
    for (name, value) in headers.iter() {
        if name == headers::FREE_HEADERS {
            timed.set(headers::CREATED_AT, time.clone());
        }
        timed.set(name, value.clone());
    }
    Ok(timed)
}

/// Returns the record of a row that begins with the columns of a record. It is the same for consumers of the file, for a broker, and
/// for a replay that appends it again.
pub(crate) fn stored(topic: &Arc<str>, row: &Row<'_>) -> Result<Stored, Error> {
    let columns = |row: &Row<'_>| {
        Ok(Columns { known: [row.get(1)?, row.get(2)?, row.get(4)?, row.get(5)?], rest: row.get(7)? })
    };
    let headers = columns(row).map_err(from_sqlite)?.into_headers()?;
    let rest = |row: &Row<'_>| {
        Ok((
            row.get::<_, i64>(0)?,
            row.get::<_, i64>(6)?,
            row.get::<_, Option<Vec<u8>>>(3)?,
            row.get::<_, Vec<u8>>(8)?,
        ))
    };
    let (position, created_at, key, payload) = rest(row).map_err(from_sqlite)?;
    let headers = timed(headers, created_at)?;
    let message =
        Message { topic: topic.clone(), key: key.map(Bytes::from), headers, payload: payload.into() };
    Ok(Stored { offset: topics::offset(position), created_at, message })
}
