//! Record claims: a consumer's window in each partition of a topic.

use std::ops::Range;

use bytes::Bytes;
use messagekit::Error;
use messagekit::log::{ClaimPartition, ClaimWindow};
use rusqlite::{Connection, OptionalExtension, Row};

use super::timestamp;
use super::topics::{self, Partition};
use crate::error::from_sqlite;

/// Returns the partitions of a topic with a consumer's windows, in order; none when this file does not hold the topic.
pub(crate) fn partitions(
    conn: &Connection,
    consumer: i64,
    topic: &str,
) -> Result<Vec<ClaimPartition>, Error> {
    let known = topics::partitions(conn, topic).map_err(from_sqlite)?;
    let claimable = |known: Partition| {
        let found = window(conn, consumer, known.tp)?;
        let is_new = found.is_none();
        let window = found.unwrap_or_else(|| ClaimWindow::new(known.log_start));
        Ok(ClaimPartition { bounds: known.bounds(), window, is_new })
    };
    known.into_iter().map(claimable).collect()
}

/// Returns whether a worker holds records of a topic.
pub(crate) fn is_held(conn: &Connection, topic: i64, now: i64) -> Result<bool, Error> {
    let windows = || -> rusqlite::Result<Vec<(i64, String)>> {
        conn.prepare_cached(
            "SELECT r.next, r.ranges FROM messagekit_record_claims r
             JOIN messagekit_topic_partitions p ON p.id = r.tp_id WHERE p.topic_id = ?1",
        )?
        .query_map([topic], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
    };
    let now = timestamp(now)?;
    for (next, ranges) in windows().map_err(from_sqlite)? {
        if ClaimWindow::decode(next, &ranges)?.has_holder(now) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns a consumer's window in a partition, or `None` when it has not begun to read it.
fn window(conn: &Connection, consumer: i64, tp: i64) -> Result<Option<ClaimWindow>, Error> {
    let select = "SELECT c.next, r.ranges
         FROM messagekit_consumer_cursors c
         LEFT JOIN messagekit_record_claims r ON r.consumer_id = c.consumer_id AND r.tp_id = c.tp_id AND r.next = c.next
         WHERE c.consumer_id = ?1 AND c.tp_id = ?2";
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?));
    let found = conn
        .prepare_cached(select)
        .and_then(|mut select| select.query_row((consumer, tp), read).optional())
        .map_err(from_sqlite)?;
    let decode = |(next, ranges): (i64, Option<String>)| match ranges {
        Some(ranges) => ClaimWindow::decode(next, &ranges),
        None => Ok(ClaimWindow::new(next)),
    };
    found.map(decode).transpose()
}

/// Writes a consumer's window in a partition. Its end of the settled prefix is the consumer's cursor.
pub(crate) fn write(
    conn: &Connection,
    consumer: i64,
    topic: &str,
    partition: i32,
    window: &ClaimWindow,
) -> rusqlite::Result<()> {
    let tp = tp(conn, topic, partition)?;
    conn.prepare_cached(
        "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (?1, ?2, ?3)
         ON CONFLICT (consumer_id, tp_id) DO UPDATE SET next = excluded.next WHERE next <> excluded.next",
    )?
    .execute((consumer, tp, window.next()))?;
    conn.prepare_cached(
        "INSERT INTO messagekit_record_claims (consumer_id, tp_id, next, ranges) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (consumer_id, tp_id) DO UPDATE SET next = excluded.next, ranges = excluded.ranges",
    )?
    .execute((consumer, tp, window.next(), window.encode()))?;
    Ok(())
}

/// Returns the offset and key of each record in these ranges that has a key.
pub(crate) fn keys(
    conn: &Connection,
    topic: &str,
    partition: i32,
    ranges: &[Range<i64>],
) -> rusqlite::Result<Vec<(i64, Bytes)>> {
    let tp = tp(conn, topic, partition)?;
    let mut select = conn.prepare_cached(
        "SELECT pos, CAST(key AS BLOB) FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 AND key IS NOT NULL",
    )?;
    let mut keys = Vec::new();
    for Range { start, end } in ranges {
        let within = (topics::position(tp, *start), topics::position(tp, *end));
        let mut rows = select.query(within)?;
        while let Some(row) = rows.next()? {
            keys.push((topics::offset(row.get(0)?), Bytes::from(row.get::<_, Vec<u8>>(1)?)));
        }
    }
    Ok(keys)
}

fn tp(conn: &Connection, topic: &str, partition: i32) -> rusqlite::Result<i64> {
    conn.prepare_cached(
        "SELECT p.id FROM messagekit_topics t JOIN messagekit_topic_partitions p ON p.topic_id = t.id
         WHERE t.name = ?1 AND p.partition = ?2",
    )?
    .query_row((topic, partition), |row| row.get(0))
}
