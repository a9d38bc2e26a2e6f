//! Removes rows that are no longer needed.

use std::sync::Arc;
use std::time::Duration;

use messagekit::cleanup::{MARGIN, NOTED_WITHIN};
use rusqlite::{Connection, OptionalExtension, Result};

use super::micros;
use super::processed::{DISCARDED, DONE};

/// The number of rows in a step: it holds the file's write lock for some milliseconds.
const ROWS: i64 = 1_000;

/// The recorded window of a consumer that accepts messages of any age.
const CENTURY: u64 = 100 * 365 * 24 * 3_600;

/// The result of one step, and the start of the next.
pub(crate) struct Stretch<P> {
    pub(crate) removed: u64,
    pub(crate) next: Option<P>,
}

/// The last marker of a step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Marker {
    pub(crate) consumer: i64,
    pub(crate) message: String,
}

/// Records the window of a running consumer, and returns the time since which its markers are complete.
pub(crate) fn note_window(
    conn: &Connection,
    consumer: i64,
    window: Option<Duration>,
    now: i64,
) -> Result<Option<i64>> {
    let seconds = window.map_or(CENTURY, |window| window.as_secs().clamp(1, CENTURY));
    conn.prepare_cached(
        "INSERT INTO messagekit_consumer_windows (consumer_id, seconds, noted_at) VALUES (?1, ?2, ?3)
         ON CONFLICT (consumer_id, seconds) DO UPDATE SET noted_at = excluded.noted_at",
    )?
    .execute((consumer, seconds.cast_signed(), now))?;
    conn.prepare_cached("SELECT max(complete_since) FROM messagekit_consumer_windows WHERE consumer_id = ?1")?
        .query_row([consumer], |row| row.get(0))
}

/// Returns the window that [`note_window`] recorded.
pub(super) fn window(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds < CENTURY).map(Duration::from_secs)
}

/// Returns the next consumer that has a window, and the time before which its markers may be removed.
fn next_consumer(conn: &Connection, after: i64, now: i64) -> Result<Option<(i64, i64)>> {
    conn.prepare_cached(
        "SELECT consumer_id, max(seconds) FROM messagekit_consumer_windows w
         WHERE consumer_id = (SELECT min(consumer_id) FROM messagekit_consumer_windows WHERE consumer_id > ?1)
           AND noted_at > (SELECT max(noted_at) FROM messagekit_consumer_windows n WHERE n.consumer_id = w.consumer_id) - ?2
         GROUP BY consumer_id",
    )?
    .query_row((after, micros(NOTED_WITHIN)), |row| {
        let seconds: i64 = row.get(1)?;
        Ok((row.get(0)?, now - seconds.saturating_mul(1_000_000) - micros(MARGIN)))
    })
    .optional()
}

/// Returns for each consumer with a recorded window the time before which it sets messages aside.
pub(crate) fn begins(conn: &Connection, now: i64) -> Result<Vec<(String, i64)>> {
    conn.prepare_cached(
        "SELECT c.name, max(w.seconds) FILTER (WHERE w.noted_at > (
             SELECT max(noted_at) FROM messagekit_consumer_windows n WHERE n.consumer_id = w.consumer_id) - ?1), max(w.complete_since)
         FROM messagekit_consumer_windows w JOIN messagekit_consumers c ON c.id = w.consumer_id
         GROUP BY c.name ORDER BY c.name",
    )?
    .query_map([micros(NOTED_WITHIN)], |row| {
        let (seconds, complete_since): (i64, Option<i64>) = (row.get(1)?, row.get(2)?);
        let begin = now.saturating_sub(seconds.saturating_mul(1_000_000));
        Ok((row.get(0)?, complete_since.map_or(begin, |since| since.max(begin))))
    })?
    .collect()
}

/// Returns when the oldest open failed message with one of the topics as redelivery target was recorded.
pub(crate) fn oldest_return(conn: &Connection, topics: &[Arc<str>]) -> Result<Option<i64>> {
    let mut select = conn.prepare_cached(
        "SELECT min(set_aside_at) FROM messagekit_failed_messages
         WHERE return_to = ?1 AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')",
    )?;
    let mut oldest: Option<i64> = None;
    for topic in topics {
        let next: Option<i64> = select.query_row([&**topic], |row| row.get(0))?;
        oldest = oldest.into_iter().chain(next).min();
    }
    Ok(oldest)
}

/// Checks the markers after a given one, or the first ones of the next consumer.
pub(crate) fn markers(
    conn: &Connection,
    after: Option<Marker>,
    now: i64,
    is_trial: bool,
) -> Result<Stretch<Marker>> {
    let after = after.unwrap_or(Marker { consumer: i64::MIN, message: String::new() });
    let begun = match after.message.is_empty() {
        true => None,
        false => {
            next_consumer(conn, after.consumer - 1, now)?.filter(|(consumer, _)| *consumer == after.consumer)
        }
    };
    let Some((consumer, before)) =
        begun.map_or_else(|| next_consumer(conn, after.consumer, now), |it| Ok(Some(it)))?
    else {
        return Ok(Stretch { removed: 0, next: None });
    };
    let from = if consumer == after.consumer { after.message } else { String::new() };
    let last: Option<String> = conn
        .prepare_cached(
            "SELECT max(message_id) FROM (SELECT message_id FROM messagekit_processed_messages
               WHERE consumer_id = ?1 AND message_id > ?2 ORDER BY message_id LIMIT ?3)",
        )?
        .query_row((consumer, &from, ROWS), |row| row.get(0))?;
    let Some(last) = last else {
        return Ok(Stretch { removed: 0, next: Some(Marker { consumer, message: String::new() }) });
    };
    let old = "FROM messagekit_processed_messages AS m
         WHERE consumer_id = ?1 AND message_id > ?2 AND message_id <= ?3 AND processed_at < ?4
           AND (outcome = ?5 OR outcome = ?6 AND NOT EXISTS (SELECT 1 FROM messagekit_failed_messages d
             WHERE d.consumer_id = m.consumer_id AND d.message_id = m.message_id))";
    let values = (consumer, &from, &last, before, DONE, DISCARDED);
    if !is_trial {
        let newest: Option<i64> = conn
            .prepare_cached(&format!("SELECT max(processed_at) {old}"))?
            .query_row(values, |row| row.get(0))?;
        note_removed(conn, consumer, newest)?;
    }
    let removed = remove(conn, old, values, is_trial)?;
    Ok(Stretch { removed, next: Some(Marker { consumer, message: last }) })
}

/// Records that markers of a consumer are about to be removed, with the time of the newest.
fn note_removed(conn: &Connection, consumer: i64, newest: Option<i64>) -> Result<()> {
    let Some(newest) = newest else { return Ok(()) };
    conn.prepare_cached(
        "UPDATE messagekit_consumer_windows SET complete_since = max(coalesce(complete_since, ?2), ?2) WHERE consumer_id = ?1",
    )?
    .execute((consumer, newest.saturating_add(micros(MARGIN))))
    .map(drop)
}

/// Checks the failed messages after an id.
pub(crate) fn failed_messages(
    conn: &Connection,
    after: i64,
    before: i64,
    is_trial: bool,
) -> Result<Stretch<i64>> {
    let last: Option<i64> = conn
        .prepare_cached(
            "SELECT max(id) FROM (SELECT id FROM messagekit_failed_messages WHERE id > ?1 ORDER BY id LIMIT ?2)",
        )?
        .query_row((after, ROWS), |row| row.get(0))?;
    let Some(last) = last else { return Ok(Stretch { removed: 0, next: None }) };
    let old = "FROM messagekit_failed_messages
         WHERE id > ?1 AND id <= ?2 AND state IN ('resolved', 'discarded') AND changed_at < ?3";
    let removed = remove(conn, old, (after, last, before), is_trial)?;
    Ok(Stretch { removed, next: Some(last) })
}

/// Deletes rows, or counts them.
fn remove(conn: &Connection, rows: &str, values: impl rusqlite::Params, is_trial: bool) -> Result<u64> {
    if is_trial {
        let count: i64 =
            conn.prepare_cached(&format!("SELECT count(*) {rows}"))?.query_row(values, |row| row.get(0))?;
        return Ok(count.unsigned_abs());
    }
    conn.prepare_cached(&format!("DELETE {rows}"))?.execute(values).map(|rows| rows as u64)
}
