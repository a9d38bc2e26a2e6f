//! Records of defined topics, as one consumer sees them.

use std::ops::Range;
use std::sync::Arc;

use messagekit::Error;
use messagekit_topic_store::{ClaimWindow, RecordCounts, RecordPage, RecordQuery, RecordStatus, TopicRecord};
use rusqlite::{Connection, Row};

use super::topic_records::defined;
use super::topics::Partition;
use super::{names, read, record_claims, record_ids, timestamp, topics};
use crate::error::from_sqlite;

/// What the marker `m` of a consumer says of a record: an open failed message that is not dead is still to be handled. NULL without one.
const MARKED: &str =
    "CASE WHEN m.outcome IS NULL THEN NULL WHEN m.outcome = 0 THEN 1 WHEN m.outcome = 2 THEN 2
       WHEN (SELECT f.state FROM messagekit_failed_messages f
             WHERE f.consumer_id = m.consumer_id AND f.message_id = m.message_id) = 'dead' THEN 2 ELSE 0 END";

/// The number of a dead record in statements.
const DEAD: i64 = 2;

/// A consumer in the partitions of a topic.
type Windows = Vec<(Partition, ClaimWindow)>;

/// Reads records in the order of their ids.
pub(crate) fn query(conn: &Connection, query: &RecordQuery) -> Result<RecordPage, Error> {
    let topic = defined(conn, &query.topic)?;
    let consumer = names::known_consumer(conn, &query.consumer).map_err(from_sqlite)?.unwrap_or(0);
    let windows = windows(conn, consumer, &query.topic)?;
    let mut after = query.after;
    let ends = windows.iter().map(|(known, _)| (known.partition, known.next_offset)).collect();
    let mut page = RecordPage { ends, ..RecordPage::default() };
    if query.status == Some(RecordStatus::New) {
        let first = first_unsettled(conn, &windows).map_err(from_sqlite)?;
        page.overtaken = losses(conn, consumer, topic.id).map_err(from_sqlite)?.overtaken;
        let Some(first) = first else { return Ok(page) };
        after = after.max(first - 1);
    }
    let select = format!(
        "SELECT r.pos, r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers, r.payload,
           i.first_id + (r.pos - i.pos), p.partition, {MARKED} AS marked, m.processed_at, m.outcome IS 1 AS is_failed
         FROM messagekit_record_ids i
         CROSS JOIN messagekit_topic_partitions p ON p.id = i.pos >> 40
         CROSS JOIN messagekit_topic_records r
           ON r.pos >= i.pos + max(0, ?3 + 1 - i.first_id) AND r.pos < i.pos + i.length
         LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?2 AND m.message_id = r.event_id
         WHERE i.topic_id = ?1
           AND i.first_id >= coalesce((SELECT max(first_id) FROM messagekit_record_ids WHERE topic_id = ?1 AND first_id <= ?3 + 1), 0)
           AND (?4 IS NULL OR marked = ?4 OR (marked IS NULL AND ?4 <> {DEAD}))
         ORDER BY i.first_id, r.pos"
    );
    let wanted = query.status.map(code);
    let mut select = conn.prepare_cached(&select).map_err(from_sqlite)?;
    let mut rows = select.query((topic.id, consumer, after, wanted)).map_err(from_sqlite)?;
    while page.records.len() < query.max as usize
        && let Some(row) = rows.next().map_err(from_sqlite)?
    {
        let status = status(row, &windows).map_err(from_sqlite)?;
        if query.status.is_none_or(|wanted| wanted == status) {
            page.records.push(record(&query.topic, status, row)?);
        }
    }
    Ok(page)
}

/// Returns the partitions of a topic with a consumer's windows, in order.
fn windows(conn: &Connection, consumer: i64, topic: &str) -> Result<Windows, Error> {
    let known = topics::partitions(conn, topic).map_err(from_sqlite)?;
    let window = |known: Partition| {
        let window = record_claims::window(conn, consumer, known.tp)?;
        Ok((known, window.unwrap_or_else(|| ClaimWindow::new(known.log_start))))
    };
    known.into_iter().map(window).collect()
}

/// Returns the number of a status in statements.
fn code(status: RecordStatus) -> i64 {
    match status {
        RecordStatus::New => 0,
        RecordStatus::Handled => 1,
        RecordStatus::Dead => DEAD,
    }
}

/// Returns how far a consumer is with the record of a row.
fn status(row: &Row<'_>, windows: &Windows) -> rusqlite::Result<RecordStatus> {
    let (pos, partition, marked): (i64, i32, Option<i64>) = (row.get(0)?, row.get(10)?, row.get(11)?);
    let all = [RecordStatus::New, RecordStatus::Handled, RecordStatus::Dead];
    let marked = marked.and_then(|marked| all.into_iter().find(|status| code(*status) == marked));
    let window = windows.iter().find(|(known, _)| known.partition == partition);
    let is_settled = window.is_some_and(|(_, window)| window.is_settled(topics::offset(pos)));
    Ok(RecordStatus::of(marked, is_settled))
}

/// What a consumer has lost in a topic by retention.
struct Losses {
    /// How many records were deleted before it had handled them.
    expired: u64,
    /// The same for those partitions in which it has handled none behind them, if there are any.
    overtaken: Option<u64>,
}

fn losses(conn: &Connection, consumer: i64, topic: i64) -> rusqlite::Result<Losses> {
    conn.prepare_cached(
        "SELECT coalesce(sum(c.expired), 0), sum(c.expired) FILTER (WHERE c.next < p.log_start AND c.expired > 0)
         FROM messagekit_topic_partitions p
         CROSS JOIN messagekit_consumer_cursors c ON c.consumer_id = ?1 AND c.tp_id = p.id
         WHERE p.topic_id = ?2",
    )?
    .query_row((consumer, topic), |row| {
        let (expired, overtaken): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok(Losses { expired: expired.unsigned_abs(), overtaken: overtaken.map(i64::unsigned_abs) })
    })
}

fn record(topic: &Arc<str>, status: RecordStatus, row: &Row<'_>) -> Result<TopicRecord, Error> {
    let stored = read::stored(topic, row)?;
    let extra = || Ok((row.get(9)?, row.get(10)?, row.get(12)?, row.get(13)?));
    let (id, partition, handled_at, is_failed): (i64, i32, Option<i64>, bool) =
        extra().map_err(from_sqlite)?;
    let handled_at = handled_at.filter(|_| status == RecordStatus::Handled).map(timestamp).transpose()?;
    Ok(TopicRecord { id, record: stored.into_record(topic, partition)?, status, handled_at, is_failed })
}

/// Returns the id of the first record behind the settled prefixes, or `None` when a consumer has settled all.
fn first_unsettled(conn: &Connection, windows: &Windows) -> rusqlite::Result<Option<i64>> {
    let mut first: Option<i64> = None;
    for (known, window) in windows {
        let next = window.next().max(known.log_start);
        if next < known.next_offset {
            let id = record_ids::of_position(conn, topics::position(known.tp, next))?;
            first = first.into_iter().chain(id).min();
        }
    }
    Ok(first)
}

/// Counts the records of a topic. It reads no record of a settled prefix.
pub(crate) fn count(conn: &Connection, consumer: &str, topic: &Arc<str>) -> Result<RecordCounts, Error> {
    let own = defined(conn, topic)?;
    let consumer = names::known_consumer(conn, consumer).map_err(from_sqlite)?.unwrap_or(0);
    let windows = windows(conn, consumer, topic)?;
    let all: i64 = windows.iter().map(|(known, _)| known.next_offset - known.log_start).sum();
    let expired = losses(conn, consumer, own.id).map_err(from_sqlite)?.expired;
    let all = all.unsigned_abs();
    let mut counts = RecordCounts { all, handled: all, expired, ..RecordCounts::default() };
    for (known, window) in &windows {
        counts.claim_ranges = counts.claim_ranges.max(window.count_ranges());
        for (offsets, is_settled) in window.parts(known.next_offset) {
            let marks = marks(conn, consumer, known.tp, &offsets).map_err(from_sqlite)?;
            for (marked, records) in marks {
                counts.add(RecordStatus::of(marked, is_settled), records);
            }
        }
    }
    Ok(counts)
}

/// Counts the records of a range by what a consumer's markers say of them.
fn marks(
    conn: &Connection,
    consumer: i64,
    tp: i64,
    offsets: &Range<i64>,
) -> rusqlite::Result<[(Option<RecordStatus>, u64); 3]> {
    let select = format!(
        "SELECT count(*) FILTER (WHERE marked IS NULL), count(*) FILTER (WHERE marked = 0), count(*) FILTER (WHERE marked = {DEAD})
         FROM (SELECT {MARKED} AS marked FROM messagekit_topic_records r
           LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?1 AND m.message_id = r.event_id
           WHERE r.pos >= ?2 AND r.pos < ?3)"
    );
    let range = (consumer, topics::position(tp, offsets.start), topics::position(tp, offsets.end));
    let number = |row: &Row<'_>, column| row.get(column).map(i64::unsigned_abs);
    conn.prepare_cached(&select)?.query_row(range, |row| {
        Ok([
            (None, number(row, 0)?),
            (Some(RecordStatus::New), number(row, 1)?),
            (Some(RecordStatus::Dead), number(row, 2)?),
        ])
    })
}
