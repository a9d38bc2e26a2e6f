//! Removes rows that are no longer needed.
//!
//! A step walks a range of heap blocks. A range costs the same at every position, needs no index, and does not read
//! removed rows again. It skips rows that other transactions have locked, so it never waits. A heap position belongs to
//! one partition where a table is partitioned by day, so the statements also check the table. Each statement is planned
//! anew: a plan made for an empty table would stay while the table grows.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::cleanup::{MARGIN, NOTED_WITHIN};
use sqlx::{PgConnection, Row};

use super::days::{Divided, Position};
use super::event_links::CLEAN_LINKS;
use super::left::Left;
use super::{age, micros};
use crate::SchemaName;
use crate::error::from_sqlx;

/// The number of blocks in a range: about fifty events, or five hundred markers. Larger ranges delay concurrent writers.
const BLOCKS: i64 = 8;

/// The recorded window of a consumer that accepts messages of any age.
const CENTURY: i64 = 100 * 365 * 24 * 3_600;

/// A pending event has the shard of its key, or 64 below that while it is delayed.
pub(crate) const EVENTS: &str = "
WITH old AS MATERIALIZED (
  SELECT e.ctid FROM messagekit.outbox_events e
  WHERE e.tableoid = 'messagekit.outbox_events'::regclass AND e.ctid >= $1::text::tid AND e.ctid < $2::text::tid
    AND e.created_at < now() - $3 * interval '1 microsecond'
    AND ($4::timestamptz IS NULL OR e.created_at < $4) AND ($5::bigint IS NULL OR e.seq <= $5)
    AND (SELECT true FROM messagekit.outbox_rejected r WHERE r.seq = e.seq LIMIT 1) IS NULL
    AND (SELECT true FROM messagekit.outbox_pending p
      WHERE p.topic = e.topic AND p.seq = e.seq AND p.shard = ANY (
        SELECT s.shard - down.shards FROM (SELECT get_byte(sha256(convert_to(
            coalesce(e.aggregate_id, e.event_id), 'UTF8')), 0) & 63 AS shard OFFSET 0) s,
          (VALUES (0), (64)) down (shards)) LIMIT 1) IS NULL
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.outbox_events WHERE tableoid = 'messagekit.outbox_events'::regclass
    AND ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.outbox_events') / current_setting('block_size')::bigint AS blocks FROM gone";

/// Blocks the recording of windows until the commit. Markers of an earlier recorded window stay. A consumer that records
/// its window later learns which markers are gone.
pub(crate) const HOLD_WINDOWS: &str = "
SELECT count(*) FROM (SELECT FROM messagekit.consumer_windows ORDER BY consumer, seconds FOR UPDATE) AS held";

/// A scalar subquery for each row, because a join would be planned over all markers of a consumer.
pub(crate) const MARKERS: &str = "
WITH limits AS MATERIALIZED (
  SELECT w.consumer, now() - (max(w.seconds) * interval '1 second' + $3 * interval '1 microsecond') AS before
  FROM messagekit.consumer_windows w
  WHERE w.noted_at > (SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
    - $4 * interval '1 microsecond'
  GROUP BY w.consumer),
old AS MATERIALIZED (
  SELECT m.ctid FROM messagekit.processed_messages m
  WHERE m.tableoid = 'messagekit.processed_messages'::regclass AND m.ctid >= $1::text::tid AND m.ctid < $2::text::tid AND m.outcome <> 'held'
    AND m.processed_at < (SELECT l.before FROM limits l WHERE l.consumer = m.consumer)
    AND (m.outcome = 'done' OR (SELECT true FROM messagekit.failed_messages d
      WHERE d.consumer = m.consumer AND d.message_id = m.message_id) IS NULL)
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.processed_messages WHERE tableoid = 'messagekit.processed_messages'::regclass
    AND ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING consumer, processed_at),
noted AS (
  UPDATE messagekit.consumer_windows w
  SET complete_since = greatest(w.complete_since, g.newest + $3 * interval '1 microsecond')
  FROM (SELECT consumer, max(processed_at) AS newest FROM gone GROUP BY consumer) g WHERE w.consumer = g.consumer)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.processed_messages') / current_setting('block_size')::bigint AS blocks FROM gone";

pub(crate) const FAILED_MESSAGES: &str = "
WITH old AS MATERIALIZED (
  SELECT d.ctid FROM messagekit.failed_messages d
  WHERE d.ctid >= $1::text::tid AND d.ctid < $2::text::tid AND d.state IN ('resolved', 'discarded')
    AND d.changed_at < now() - $3 * interval '1 microsecond'
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.failed_messages WHERE ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.failed_messages') / current_setting('block_size')::bigint AS blocks FROM gone";

/// Waits for a cleanup that has locked the recorded windows.
pub(crate) const NOTE_WINDOW: &str = "
WITH known AS MATERIALIZED (
  SELECT complete_since FROM messagekit.consumer_windows WHERE consumer = $1 ORDER BY seconds FOR UPDATE),
noted AS (
  INSERT INTO messagekit.consumer_windows (consumer, seconds) VALUES ($1, $2)
  ON CONFLICT (consumer, seconds) DO UPDATE SET noted_at = excluded.noted_at)
SELECT max(complete_since) FROM known";

/// Reads all open failed messages of brokers, once an hour: there are few.
pub(crate) const OLDEST_RETURN: &str = "
SELECT (extract(epoch FROM now() - min(set_aside_at)) * 1000000)::bigint FROM messagekit.failed_messages
WHERE return_to = ANY ($1::text[]) AND state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')";

/// The result of one range, and the start of the next.
pub(crate) struct Stretch {
    pub(crate) removed: u64,
    pub(crate) next: Option<i64>,
}

/// Removes events of the range at `position`: those before the given time and, with a slot, up to the position that it
/// has passed.
pub(crate) async fn events(
    connection: &mut PgConnection,
    schema: &SchemaName,
    position: Position,
    kept: Duration,
    left: &Left,
) -> Result<Stretch, Error> {
    let (from, to) = stretch(position.block);
    let delete = sqlx::query(schema.sql(named(position, Divided::Events, EVENTS)))
        .persistent(false)
        .bind(from)
        .bind(to)
        .bind(micros(kept))
        .bind(left.before.filter(|_| left.has_slot))
        .bind(left.last_seq.filter(|_| left.has_slot));
    let row = delete.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let events = by_blocks(&row, position.block)?;
    if position.is_in_a_day() {
        return Ok(events);
    }
    // Beside the last part, or the only one.
    let links = links(connection, schema, position.block, kept).await?;
    Ok(Stretch { removed: events.removed, next: events.next.or(links.next) })
}

/// Removes links of the range at `block` whose event is gone.
async fn links(
    connection: &mut PgConnection,
    schema: &SchemaName,
    block: i64,
    kept: Duration,
) -> Result<Stretch, Error> {
    let (from, to) = stretch(block);
    let delete =
        sqlx::query(schema.sql(CLEAN_LINKS)).persistent(false).bind(from).bind(to).bind(micros(kept));
    let row = delete.fetch_one(connection).await.map_err(from_sqlx)?;
    by_blocks(&row, block)
}

/// Removes markers of the range at `position`.
pub(crate) async fn markers(
    connection: &mut PgConnection,
    schema: &SchemaName,
    position: Position,
) -> Result<Stretch, Error> {
    let (from, to) = stretch(position.block);
    let delete = sqlx::query(schema.sql(named(position, Divided::Markers, MARKERS)))
        .persistent(false)
        .bind(from)
        .bind(to)
        .bind(micros(MARGIN))
        .bind(micros(NOTED_WITHIN));
    let row = delete.fetch_one(connection).await.map_err(from_sqlx)?;
    by_blocks(&row, position.block)
}

/// Removes settled failed messages of the range at `block`.
pub(crate) async fn failed_messages(
    connection: &mut PgConnection,
    schema: &SchemaName,
    block: i64,
    kept: Duration,
) -> Result<Stretch, Error> {
    let (from, to) = stretch(block);
    let delete =
        sqlx::query(schema.sql(FAILED_MESSAGES)).persistent(false).bind(from).bind(to).bind(micros(kept));
    let row = delete.fetch_one(connection).await.map_err(from_sqlx)?;
    by_blocks(&row, block)
}

/// Blocks the recording of windows until the end of the transaction.
pub(crate) async fn hold_windows(connection: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let hold = sqlx::query(schema.sql(HOLD_WINDOWS)).persistent(false);
    hold.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Records the window of a running consumer, and returns the time since which its markers are complete.
pub(crate) async fn note_window(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    window: Option<Duration>,
) -> Result<Option<jiff::Timestamp>, Error> {
    let seconds = window.and_then(|window| i64::try_from(window.as_secs()).ok()).unwrap_or(CENTURY);
    let note = sqlx::query_scalar(schema.sql(NOTE_WINDOW)).bind(consumer).bind(seconds.clamp(1, CENTURY));
    let complete_since: Option<Timestamp> = note.fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(complete_since.map(Timestamp::to_jiff))
}

/// Returns the window that [`note_window`] recorded.
pub(super) fn window(seconds: i64) -> Option<Duration> {
    (seconds < CENTURY).then(|| Duration::from_secs(seconds.unsigned_abs()))
}

/// Returns the age of the oldest open failed message whose redelivery target is one of the topics.
pub(crate) async fn oldest_return(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topics: &[Arc<str>],
) -> Result<Option<Duration>, Error> {
    let topics: Vec<&str> = topics.iter().map(|topic| &**topic).collect();
    let select = sqlx::query_scalar(schema.sql(OLDEST_RETURN)).bind(topics);
    let micros: Option<i64> = select.fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(micros.map(age))
}

/// Puts the name of the position's partition, if any, into a statement.
fn named(position: Position, table: Divided, sql: &'static str) -> Cow<'static, str> {
    position.part.map_or(Cow::Borrowed(sql), |part| Cow::Owned(part.of(table, sql)))
}

fn stretch(block: i64) -> (String, String) {
    (format!("({block},0)"), format!("({},0)", block.saturating_add(BLOCKS)))
}

fn by_blocks(row: &sqlx::postgres::PgRow, block: i64) -> Result<Stretch, Error> {
    let read = || Ok((row.try_get::<i64, _>("removed")?, row.try_get::<i64, _>("blocks")?));
    let (removed, blocks) = read().map_err(from_sqlx)?;
    let next = block.saturating_add(BLOCKS);
    Ok(Stretch { removed: removed.unsigned_abs(), next: (next < blocks).then_some(next) })
}
