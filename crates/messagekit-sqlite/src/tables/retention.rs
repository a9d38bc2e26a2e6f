//! Deletes records that the retention rule of their topic no longer keeps, from the oldest of a partition on.

use jiff::Timestamp;
use messagekit::Message;
use messagekit::log::Bounds;
use messagekit_topic_store::{RetentionCut, RetentionRule};
use rusqlite::{Connection, Result};

use super::micros;
use super::names::Topic;
use super::timestamp;
use super::topics::{offset, position};

/// What a record counts under a rule of bytes.
const BYTES: &str = "length(payload) + coalesce(length(key), 0)";

/// Returns what a message counts under a rule of bytes.
pub(crate) fn bytes_of(message: &Message) -> i64 {
    let bytes = message.payload.len() + message.key.as_ref().map_or(0, |key| key.len());
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

/// Sets the rule of a defined topic.
pub(crate) fn set(conn: &Connection, topic: i64, rule: Option<RetentionRule>) -> Result<()> {
    let age = rule.and_then(|rule| rule.max_age).map(micros);
    let bytes = rule.and_then(|rule| rule.max_bytes).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    let keep = rule.is_some_and(|rule| rule.keep_unhandled);
    let unhandled = rule.and_then(|rule| rule.unhandled_max_age).map(micros);
    conn.prepare_cached(
        "UPDATE messagekit_topic_definitions SET max_age = ?2, max_bytes = ?3, keep_unhandled = ?4, unhandled_max_age = ?5
         WHERE topic_id = ?1",
    )?
    .execute((topic, age, bytes, keep, unhandled))?;
    if bytes.is_some() {
        count_bytes(conn, topic, "bytes IS NULL")?;
    }
    Ok(())
}

/// Counts the bytes of those partitions again whose records were replaced.
pub(crate) fn recount(conn: &Connection, topic: i64) -> Result<()> {
    count_bytes(conn, topic, "bytes IS NOT NULL")
}

fn count_bytes(conn: &Connection, topic: i64, which: &str) -> Result<()> {
    conn.prepare_cached(&format!(
        "UPDATE messagekit_topic_partitions AS p SET bytes = (
           SELECT coalesce(sum({BYTES}), 0) FROM messagekit_topic_records
           WHERE pos >= p.id << 40 AND pos < (p.id + 1) << 40)
         WHERE topic_id = ?1 AND {which}"
    ))?
    .execute([topic])
    .map(drop)
}

/// Deletes at most `max` records of a partition that the rule of its topic no longer keeps, and returns how many.
pub(crate) fn expire(conn: &Connection, topic: &Topic, tp: i64, max: u32, now: i64) -> Result<u64> {
    let Some(cut) = cut(conn, topic, tp, max, now)? else { return Ok(0) };
    count_unhandled(conn, tp, &cut)?;
    delete(conn, tp, &cut)?;
    Ok(cut.records())
}

/// Returns how many records of a partition the rule of its topic no longer keeps.
pub(crate) fn due(conn: &Connection, topic: &Topic, tp: i64, now: i64) -> Result<u64> {
    Ok(cut(conn, topic, tp, u32::MAX, now)?.map_or(0, |cut| cut.records()))
}

/// Returns what is to be deleted, if anything.
fn cut(conn: &Connection, topic: &Topic, tp: i64, max: u32, now: i64) -> Result<Option<RetentionCut>> {
    let Some(rule) = topic.retention else { return Ok(None) };
    let (bounds, kept): (Bounds, Option<i64>) = conn
        .prepare_cached(
            "SELECT partition, log_start, next_offset, bytes FROM messagekit_topic_partitions WHERE id = ?1",
        )?
        .query_row([tp], |row| {
            Ok((Bounds { partition: row.get(0)?, earliest: row.get(1)?, end: row.get(2)? }, row.get(3)?))
        })?;
    let kept = kept.map_or(0, |bytes| bytes.max(0).unsigned_abs());
    let mut cut = RetentionCut::new(rule, bounds, kept, time(now));
    let mut limit = None;
    let mut select = conn.prepare_cached(&format!(
        "SELECT pos, created_at, {BYTES} FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT ?3"
    ))?;
    let mut rows = select.query((position(tp, bounds.earliest), position(tp, bounds.end), max))?;
    while let Some(row) = rows.next()? {
        let (at, created_at, bytes): (i64, i64, i64) = (offset(row.get(0)?), row.get(1)?, row.get(2)?);
        if !cut.is_due(at, time(created_at)) {
            break;
        }
        // Asked only when there is something to delete: most appends find nothing.
        let (unpublished, unhandled) = match limit {
            Some(limit) => limit,
            None => *limit.insert(needed_from(conn, topic, tp, &rule, bounds.end)?),
        };
        if at >= unpublished || at >= unhandled && cut.waits_for_consumers(time(created_at)) {
            break;
        }
        cut.add(at, time(created_at), bytes.unsigned_abs());
    }
    Ok(Some(cut).filter(|cut| cut.records() > 0))
}

/// No clock of a machine stands outside of what a timestamp can tell.
fn time(micros: i64) -> Timestamp {
    timestamp(micros).unwrap_or(Timestamp::MIN)
}

/// Returns the first offset of a partition that a relay still needs, and the first that, under the rule, a consumer does.
fn needed_from(
    conn: &Connection,
    topic: &Topic,
    tp: i64,
    rule: &RetentionRule,
    end: i64,
) -> Result<(i64, i64)> {
    let unpublished: Option<i64> = conn
        .prepare_cached(
            "SELECT min(pos) FROM (
               SELECT min(pos) AS pos FROM messagekit_outbox_pending WHERE pos >= ?1 AND pos < ?2
               UNION ALL SELECT min(pos) FROM messagekit_outbox_rejected WHERE pos >= ?1 AND pos < ?2)",
        )?
        .query_row((position(tp, 0), position(tp, end)), |row| row.get(0))?;
    let unpublished = unpublished.map_or(end, offset);
    if !rule.keep_unhandled {
        return Ok((unpublished, end));
    }
    // A consumer without a cursor in this partition has handled none of its first records.
    let unhandled: Option<i64> = conn
        .prepare_cached(
            "SELECT min(coalesce((SELECT next FROM messagekit_consumer_cursors c WHERE c.consumer_id = k.consumer_id AND c.tp_id = ?2), 0))
             FROM messagekit_consumer_cursors k
             WHERE k.tp_id IN (SELECT id FROM messagekit_topic_partitions WHERE topic_id = ?1)",
        )?
        .query_row((topic.id, tp), |row| row.get(0))?;
    Ok((unpublished, unhandled.unwrap_or(0)))
}

/// Notes for each consumer how many of the records it has not handled. A consumer with record claims learns of them when it claims.
fn count_unhandled(conn: &Connection, tp: i64, cut: &RetentionCut) -> Result<()> {
    conn.prepare_cached(
        "UPDATE messagekit_consumer_cursors AS c SET expired = expired + (
           SELECT count(*) FROM messagekit_topic_records r
           WHERE r.pos >= max(?2, (?1 << 40) | c.next) AND r.pos < ?3
             AND NOT EXISTS (SELECT 1 FROM messagekit_processed_messages m
               WHERE m.consumer_id = c.consumer_id AND m.message_id = r.event_id))
         WHERE tp_id = ?1 AND ((?1 << 40) | next) < ?3
           AND NOT EXISTS (SELECT 1 FROM messagekit_record_claims r WHERE r.consumer_id = c.consumer_id AND r.tp_id = ?1)",
    )?
    .execute((tp, position(tp, cut.offsets().start), position(tp, cut.offsets().end)))
    .map(drop)
}

fn delete(conn: &Connection, tp: i64, cut: &RetentionCut) -> Result<()> {
    let (start, end) = (position(tp, cut.offsets().start), position(tp, cut.offsets().end));
    delete_records(conn, tp, start, end)?;
    // The last row of all says which id is next.
    conn.prepare_cached(
        "DELETE FROM messagekit_record_ids WHERE pos >= ?1 AND pos < ?2 AND pos + length <= ?2
           AND first_id < (SELECT max(first_id) FROM messagekit_record_ids)",
    )?
    .execute((position(tp, 0), end))?;
    conn.prepare_cached(
        "UPDATE messagekit_topic_partitions SET log_start = ?2, bytes = bytes - ?3 WHERE id = ?1",
    )?
    .execute((tp, cut.offsets().end, cut.bytes().cast_signed()))
    .map(drop)
}

/// Deletes the records of a range of positions in a partition, with what is of no use without them, and returns how many there were.
pub(super) fn delete_records(conn: &Connection, tp: i64, start: i64, end: i64) -> Result<u64> {
    let range = (start, end);
    let delete = |sql: &str| conn.prepare_cached(sql)?.execute(range);
    // A copy of the record, which a replay has appended, has the same event id.
    conn.prepare_cached(
        "DELETE FROM messagekit_processed_messages WHERE outcome = 0 AND (consumer_id, message_id) IN (
           SELECT c.consumer_id, r.event_id FROM messagekit_topic_records r CROSS JOIN messagekit_consumer_cursors c
           WHERE r.pos >= ?1 AND r.pos < ?2 AND r.event_id IS NOT NULL AND c.tp_id = ?3 AND c.by_record
             AND NOT EXISTS (SELECT 1 FROM messagekit_topic_records o WHERE o.event_id = r.event_id AND o.pos <> r.pos))",
    )?
    .execute((range.0, range.1, tp))?;
    delete("DELETE FROM messagekit_event_links WHERE pos >= ?1 AND pos < ?2")?;
    delete("DELETE FROM messagekit_topic_copies WHERE pos >= ?1 AND pos < ?2")?;
    Ok(delete("DELETE FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2")? as u64)
}
