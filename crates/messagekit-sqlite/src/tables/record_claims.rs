//! Record claims: a consumer's window in each partition of a topic.

use std::ops::Range;

use bytes::Bytes;
use messagekit::Error;
use messagekit_topic_store::{ClaimPartition, ClaimWindow};
use rusqlite::{Connection, OptionalExtension, Row};

use super::processed::DONE;
use super::timestamp;
use super::topics::{self, Partition};
use crate::error::from_sqlite;

/// Returns the partitions of a topic with a consumer's windows, in order; none when this file does not hold the topic. A consumer that has
/// handled records one by one claims for the first time: what it has handled is settled.
pub(crate) fn partitions(
    conn: &Connection,
    consumer: i64,
    topic: &str,
) -> Result<Vec<ClaimPartition>, Error> {
    let known = topics::partitions(conn, topic).map_err(from_sqlite)?;
    let claimable = |known: Partition| {
        let found = match claimed(conn, consumer, known.tp)? {
            Some(window) => Some(window),
            None => begin(conn, consumer, known.tp)?,
        };
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
pub(super) fn window(conn: &Connection, consumer: i64, tp: i64) -> Result<Option<ClaimWindow>, Error> {
    match claimed(conn, consumer, tp)? {
        Some(window) => Ok(Some(window)),
        None => Ok(cursor(conn, consumer, tp).map_err(from_sqlite)?.map(|(next, _)| ClaimWindow::new(next))),
    }
}

/// Returns a consumer's window in a partition in which it has claims that nothing has ended.
pub(super) fn claimed(conn: &Connection, consumer: i64, tp: i64) -> Result<Option<ClaimWindow>, Error> {
    let select = "SELECT c.next, r.ranges FROM messagekit_consumer_cursors c
         JOIN messagekit_record_claims r ON r.consumer_id = c.consumer_id AND r.tp_id = c.tp_id AND r.next = c.next
         WHERE c.consumer_id = ?1 AND c.tp_id = ?2";
    let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
    let found = conn
        .prepare_cached(select)
        .and_then(|mut select| select.query_row((consumer, tp), read).optional())
        .map_err(from_sqlite)?;
    found.map(|(next, ranges)| ClaimWindow::decode(next, &ranges)).transpose()
}

/// Begins the window of a consumer that has a cursor in a partition and no claims.
fn begin(conn: &Connection, consumer: i64, tp: i64) -> Result<Option<ClaimWindow>, Error> {
    let begun = || {
        let Some((next, by_record)) = cursor(conn, consumer, tp)? else { return Ok(None) };
        let mut window = ClaimWindow::new(next);
        if by_record {
            window.finish(handled_behind(conn, consumer, tp, next)?);
            replace(conn, consumer, tp, &window)?;
        }
        Ok(Some(window))
    };
    begun().map_err(from_sqlite)
}

/// Returns the offsets from `next` on that a consumer has handled one by one, in their order.
fn handled_behind(conn: &Connection, consumer: i64, tp: i64, next: i64) -> rusqlite::Result<Vec<i64>> {
    let mut select = conn.prepare_cached(
        "SELECT r.pos FROM messagekit_topic_records r
         JOIN messagekit_processed_messages m ON m.consumer_id = ?1 AND m.message_id = r.event_id AND m.outcome = ?2
         WHERE r.pos >= ?3 AND r.pos < ?4 ORDER BY r.pos",
    )?;
    let within = (topics::position(tp, next), topics::position(tp + 1, 0));
    let offset = |row: &rusqlite::Row<'_>| row.get(0).map(topics::offset);
    select.query_map((consumer, DONE, within.0, within.1), offset)?.collect()
}

fn cursor(conn: &Connection, consumer: i64, tp: i64) -> rusqlite::Result<Option<(i64, bool)>> {
    conn.prepare_cached(
        "SELECT next, by_record FROM messagekit_consumer_cursors WHERE consumer_id = ?1 AND tp_id = ?2",
    )?
    .query_row((consumer, tp), |row| Ok((row.get(0)?, row.get(1)?)))
    .optional()
}

/// Writes a consumer's window in a partition. Its end of the settled prefix is the consumer's cursor.
pub(crate) fn write(
    conn: &Connection,
    consumer: i64,
    topic: &str,
    partition: i32,
    window: &ClaimWindow,
) -> rusqlite::Result<()> {
    replace(conn, consumer, tp(conn, topic, partition)?, window)
}

/// As [`write`], by the partition's number in the file.
pub(super) fn replace(
    conn: &Connection,
    consumer: i64,
    tp: i64,
    window: &ClaimWindow,
) -> rusqlite::Result<()> {
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
