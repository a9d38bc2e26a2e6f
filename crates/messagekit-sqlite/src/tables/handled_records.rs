//! Records of defined topics as a consumer handles them one by one: markers, and its cursor or window behind them.

use std::collections::BTreeMap;
use std::sync::Arc;

use messagekit::Error;
use messagekit_topic_store::{no_record, record_has_failed};
use rusqlite::{Connection, OptionalExtension};

use super::processed::DONE;
use super::topic_records::defined;
use super::{names, record_claims, record_ids, topics};
use crate::error::from_sqlite;

/// The most records that one call looks at to move a consumer's cursor.
const PREFIX_STEP: u32 = 10_000;

/// Notes that a consumer has handled a record.
pub(crate) fn set_handled(
    conn: &Connection,
    consumer: &str,
    topic: &Arc<str>,
    id: i64,
    now: i64,
) -> Result<(), Error> {
    let own = defined(conn, topic)?;
    let missing = || no_record(topic, id);
    let found = record_ids::position(conn, id).map_err(from_sqlite)?;
    let pos = found.filter(|(of, _)| *of == own.id).map(|(_, pos)| pos).ok_or_else(missing)?;
    let event_id: Option<Option<String>> = conn
        .prepare_cached("SELECT event_id FROM messagekit_topic_records WHERE pos = ?1")
        .and_then(|mut select| select.query_row([pos], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    let event_id = event_id.flatten().ok_or_else(missing)?;
    let consumer = names::consumer(conn, consumer).map_err(from_sqlite)?;
    let marked = conn
        .prepare_cached(
            "INSERT INTO messagekit_processed_messages AS m (consumer_id, message_id, outcome, processed_at)
             VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (consumer_id, message_id) DO UPDATE SET processed_at = excluded.processed_at WHERE m.outcome = ?3",
        )
        .and_then(|mut insert| insert.execute((consumer, &event_id, DONE, now)))
        .map_err(from_sqlite)?;
    if marked == 1 {
        return settle(conn, consumer, &[pos]);
    }
    Err(record_has_failed(topic, id))
}

/// Settles records that a consumer has marked: in its window of a partition in which it has claims, else by its cursor.
pub(super) fn settle(conn: &Connection, consumer: i64, positions: &[i64]) -> Result<(), Error> {
    let mut of_partitions: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
    for pos in positions {
        of_partitions.entry(topics::partition_id(*pos)).or_default().push(topics::offset(*pos));
    }
    for (tp, offsets) in of_partitions {
        begin(conn, consumer, tp).map_err(from_sqlite)?;
        match record_claims::claimed(conn, consumer, tp)? {
            Some(mut window) => {
                window.finish(offsets);
                record_claims::replace(conn, consumer, tp, &window).map_err(from_sqlite)?;
            }
            // What stood before the first of them was handled, or the cursor waits there.
            None => {
                let first = offsets.into_iter().min();
                first.map_or(Ok(()), |first| pass_handled(conn, consumer, tp, first)).map_err(from_sqlite)?;
            }
        }
    }
    Ok(())
}

/// Begins a new consumer at the earliest record, and notes that it handles records one by one.
fn begin(conn: &Connection, consumer: i64, tp: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next, by_record)
         SELECT ?1, id, log_start, 1 FROM messagekit_topic_partitions WHERE id = ?2
         ON CONFLICT (consumer_id, tp_id) DO UPDATE SET by_record = 1 WHERE NOT by_record",
    )?
    .execute((consumer, tp))
    .map(drop)
}

/// Moves a consumer's cursor from a record that it has handled past those behind it that it has handled too.
fn pass_handled(conn: &Connection, consumer: i64, tp: i64, offset: i64) -> rusqlite::Result<()> {
    let next: i64 = conn
        .prepare_cached(
            "SELECT max(c.next, p.log_start) FROM messagekit_consumer_cursors c JOIN messagekit_topic_partitions p ON p.id = c.tp_id
             WHERE c.consumer_id = ?1 AND c.tp_id = ?2",
        )?
        .query_row((consumer, tp), |row| row.get(0))?;
    if offset != next {
        return Ok(());
    }
    let mut select = conn.prepare_cached(
        "SELECT r.pos, m.outcome IS 0 FROM messagekit_topic_records r
         LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?1 AND m.message_id = r.event_id
         WHERE r.pos > ?2 AND r.pos < ?3 ORDER BY r.pos LIMIT ?4",
    )?;
    let mut rows =
        select.query((consumer, topics::position(tp, offset), topics::position(tp + 1, 0), PREFIX_STEP))?;
    let mut next = offset + 1;
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(1)? {
            break;
        }
        next = topics::offset(row.get(0)?) + 1;
    }
    conn.prepare_cached(
        "UPDATE messagekit_consumer_cursors SET next = ?3 WHERE consumer_id = ?1 AND tp_id = ?2",
    )?
    .execute((consumer, tp, next))
    .map(drop)
}
