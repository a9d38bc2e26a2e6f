//! Events that a broker rejected, and the events behind them.
//!
//! A transaction that moves events of a key locks their shard first, in a separate statement, and reads afterwards:
//! within one statement, the snapshot could be older than the lock.

use messagekit::relay::{RejectedAction, RejectedEvent, Rejection};
use messagekit::{Error, chain};
use sqlx::{PgConnection, Row};

use super::shards::number;
use super::{clean, operator_row};
use crate::SchemaName;
use crate::error::from_sqlx;

/// The most characters that are kept of an error.
const MOST_CHARACTERS: usize = 4_000;

/// Moves an event and the ready events of its topic and key behind it. An event without an error moves only while an
/// earlier one of its key is set aside. Delayed events follow when they are due.
pub(crate) const SET_ASIDE: &str = "
WITH head AS MATERIALIZED (
  SELECT p.topic, p.key_hash FROM messagekit.outbox_pending p
  WHERE p.shard = $1 AND p.topic = $6 AND p.seq = $2 AND p.event_id = $4 AND p.copy = $5 AND ($3::text IS NOT NULL OR (
    SELECT true FROM messagekit.outbox_rejected r
    WHERE r.topic = p.topic AND r.key_hash = p.key_hash AND r.seq < p.seq LIMIT 1) IS NOT NULL)),
moved AS (
  DELETE FROM messagekit.outbox_pending p USING head h
  WHERE p.shard = $1 AND p.topic = h.topic AND p.seq >= $2 AND (p.seq = $2 OR p.key_hash = h.key_hash)
  RETURNING p.*)
INSERT INTO messagekit.outbox_rejected (shard, attempts, copy, seq, key_hash, event_id, topic, error)
SELECT shard, CASE WHEN seq = $2 AND $3 IS NOT NULL THEN least(attempts, 32766) + 1 ELSE attempts END, copy, seq, key_hash,
  event_id, topic, CASE WHEN seq = $2 THEN $3 END
FROM moved ORDER BY seq";

/// Some rows are here because no reader can represent their time.
pub(crate) const LIST: &str = "
SELECT r.id, r.event_id, r.topic, e.event_type, e.aggregate_id AS key, coalesce(octet_length(e.payload), 0) AS payload_bytes,
  CASE WHEN r.error IS NULL THEN 0 ELSE r.attempts END::int AS attempts, r.error,
  CASE WHEN e.created_at >= '0001-01-01Z' AND e.created_at < '9999-12-30Z' THEN e.created_at ELSE r.rejected_at END AS created_at,
  r.rejected_at,
  CASE WHEN r.error IS NULL THEN 0 ELSE (
    SELECT count(*) FROM messagekit.outbox_rejected b
    WHERE b.topic = r.topic AND b.key_hash = r.key_hash AND b.seq > r.seq AND b.error IS NULL) END AS behind
FROM messagekit.outbox_rejected r
  LEFT JOIN messagekit.outbox_events e ON e.event_id = r.event_id AND e.copy = r.copy
WHERE r.id > $1 AND (r.error IS NOT NULL OR $3) ORDER BY r.id LIMIT $2";

pub(crate) const FIND: &str = "
SELECT shard, event_id, error IS NOT NULL AS is_rejected FROM messagekit.outbox_rejected WHERE id = $1";

/// Puts an event and all of its topic and key back.
pub(crate) const PUT_BACK: &str = "
WITH moved AS (
  DELETE FROM messagekit.outbox_rejected WHERE id = ANY (ARRAY(
    SELECT $1 UNION ALL
    SELECT r.id FROM messagekit.outbox_rejected c
      JOIN messagekit.outbox_rejected r ON r.topic = c.topic AND r.key_hash = c.key_hash
    WHERE c.id = $1))
  RETURNING *)
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic)
SELECT shard, attempts, copy, seq, key_hash, clock_timestamp(), event_id, topic FROM moved";

/// Discards an event, and puts back the events that wait for it alone.
pub(crate) const DISCARD: &str = "
WITH gone AS (DELETE FROM messagekit.outbox_rejected WHERE id = $1 RETURNING topic, key_hash),
next AS MATERIALIZED (
  SELECT min(r.seq) AS seq FROM gone g
    JOIN messagekit.outbox_rejected r ON r.topic = g.topic AND r.key_hash = g.key_hash
  WHERE r.id <> $1 AND r.error IS NOT NULL),
moved AS (
  DELETE FROM messagekit.outbox_rejected r USING gone g, next n
  WHERE r.topic = g.topic AND r.key_hash = g.key_hash AND r.error IS NULL AND (n.seq IS NULL OR r.seq < n.seq)
  RETURNING r.*)
INSERT INTO messagekit.outbox_pending (shard, attempts, copy, seq, key_hash, available_at, event_id, topic)
SELECT shard, attempts, copy, seq, key_hash, clock_timestamp(), event_id, topic FROM moved";

/// An event that is set aside.
pub(crate) struct SetAsideEvent {
    pub(crate) shard: i16,
    pub(crate) event_id: String,
    /// A broker rejected it; otherwise it waits behind a rejected one.
    pub(crate) is_rejected: bool,
}

/// Sets an event aside with the events behind it, and returns their number. The shard must be locked.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    schema: &SchemaName,
    rejection: &Rejection,
) -> Result<u64, Error> {
    let error = rejection.error.as_ref().map(|error| {
        let text = clean(&chain(error));
        text.chars().take(MOST_CHARACTERS).collect::<String>()
    });
    let update = sqlx::query(schema.sql(SET_ASIDE))
        .persistent(false)
        .bind(number(rejection.lease.shard))
        .bind(rejection.entry.seq)
        .bind(error)
        .bind(rejection.entry.event_id.as_str())
        .bind(rejection.entry.copy)
        .bind(&*rejection.entry.topic);
    update.execute(connection).await.map(|done| done.rows_affected()).map_err(from_sqlx)
}

/// Returns the events that are set aside.
pub(crate) async fn list(
    connection: &mut PgConnection,
    schema: &SchemaName,
    after: i64,
    limit: u32,
    with_waiting: bool,
) -> Result<Vec<RejectedEvent>, Error> {
    let list =
        sqlx::query(schema.sql(LIST)).persistent(false).bind(after).bind(i64::from(limit)).bind(with_waiting);
    operator_row::list(connection, list).await
}

/// Returns an event by its number.
pub(crate) async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<Option<SetAsideEvent>, Error> {
    let find = sqlx::query(schema.sql(FIND)).persistent(false).bind(id);
    let Some(row) = find.fetch_optional(connection).await.map_err(from_sqlx)? else { return Ok(None) };
    let read = || {
        let (shard, event_id) = (row.try_get("shard")?, row.try_get("event_id")?);
        Ok(SetAsideEvent { shard, event_id, is_rejected: row.try_get("is_rejected")? })
    };
    read().map(Some).map_err(from_sqlx)
}

/// Applies an action to an event, and returns how many events were put back. The shard must be locked.
pub(crate) async fn act(
    connection: &mut PgConnection,
    schema: &SchemaName,
    action: RejectedAction,
    id: i64,
) -> Result<u64, Error> {
    let statement = match action {
        RejectedAction::Retry => PUT_BACK,
        RejectedAction::Discard => DISCARD,
    };
    let update = sqlx::query(schema.sql(statement)).persistent(false).bind(id);
    update.execute(connection).await.map(|done| done.rows_affected()).map_err(from_sqlx)
}
