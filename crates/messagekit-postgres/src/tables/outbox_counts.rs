//! Bounded counts of the events that have not left an outbox.
//!
//! However many events are kept, each statement reads at most 10,000 of them, and some blocks in which they lie. A count that
//! equals this limit means at least as many; then the number of the overdue and the age of the oldest are those of the events
//! that were read.

use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::operations::COUNT_LIMIT;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// The settings of the transaction of the counts. A scan of a whole table ends at its limit too, and may find the first match near the
/// end of the table; a block of matches is found by the index of times.
pub(crate) const SETTINGS: &str = "SET LOCAL enable_seqscan = off;
SET LOCAL jit = off; SET LOCAL max_parallel_workers_per_gather = 0";

/// Without a position everything that is kept may be pending, copies too. Ids of messagekit ascend with their time, so the
/// first ones are the oldest.
pub(crate) const KEPT: &str = "
WITH kept AS MATERIALIZED (
  SELECT created_at AS at FROM messagekit.outbox_events ORDER BY event_id, copy LIMIT 10000)
SELECT count(*) AS pending, count(*) FILTER (WHERE at <= clock_timestamp() - interval '10 s') AS overdue,
  extract(epoch FROM clock_timestamp() - min(at) FILTER (WHERE isfinite(at)))::float8 AS oldest
FROM kept";

/// Counts originals by the time of their row, copies by the time of the step that wrote them. A copy of an original from
/// after the position was written after it as well: so the limit holds for both.
pub(crate) const UNCONFIRMED: &str = "
WITH events AS MATERIALIZED (
  SELECT created_at AS at, copy FROM messagekit.outbox_events WHERE created_at > $1::timestamptz LIMIT 10000),
copies AS MATERIALIZED (
  SELECT at, copies FROM messagekit.outbox_copies WHERE at > $1 ORDER BY at LIMIT 10000)
SELECT CASE WHEN (SELECT count(*) FROM events) < 10000 THEN least(coalesce(sum(w.events), 0), 10000) ELSE 10000 END::bigint AS pending,
  least(coalesce(sum(w.events) FILTER (WHERE w.at <= clock_timestamp() - interval '10 s'), 0), 10000)::bigint AS overdue,
  extract(epoch FROM clock_timestamp() - min(w.at) FILTER (WHERE isfinite(w.at)))::float8 AS oldest
FROM (SELECT at, 1 AS events FROM events WHERE copy = 0 UNION ALL SELECT at, copies FROM copies) w";

/// Of events that wait for a relay. A delayed event that is due stands below shard 0 until a relay finds it. The oldest is the
/// first of a topic of a shard, and one step leads from one to the next.
pub(crate) const RELAYED: &str = "
WITH RECURSIVE streams (shard, topic) AS (
  (SELECT q.shard, q.topic FROM messagekit.outbox_pending q WHERE q.shard >= 0 ORDER BY q.shard, q.topic LIMIT 1)
  UNION ALL
  SELECT n.shard, n.topic FROM streams s CROSS JOIN LATERAL (
    SELECT q.shard, q.topic FROM messagekit.outbox_pending q
    WHERE (q.shard, q.topic) > (s.shard, s.topic) ORDER BY q.shard, q.topic LIMIT 1) n),
first (available_at) AS (
  SELECT h.available_at FROM streams s CROSS JOIN LATERAL (
    SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard = s.shard AND q.topic = s.topic ORDER BY q.seq LIMIT 1) h
  UNION ALL
  (SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard < 0 AND q.available_at <= now() ORDER BY q.available_at LIMIT 1)),
pending (available_at) AS MATERIALIZED (
  (SELECT q.available_at FROM messagekit.outbox_pending q WHERE q.shard >= 0 LIMIT 10000)
  UNION ALL
  (SELECT q.available_at FROM messagekit.outbox_pending q
    WHERE q.shard < 0 AND q.available_at <= now() ORDER BY q.available_at LIMIT 10000))
SELECT (SELECT least(count(*), 10000) FROM pending) AS pending,
  (SELECT least(count(*), 10000) FROM pending WHERE available_at <= clock_timestamp() - interval '10 s') AS overdue,
  (SELECT extract(epoch FROM clock_timestamp() - min(available_at)) FROM first)::float8 AS oldest";

/// The relays, and the events that a broker refused. The waiting ones are those of the newest that were refused.
pub(crate) const RELAYS: &str = "
SELECT EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  (SELECT count(*) FROM (SELECT FROM messagekit.outbox_rejected WHERE error IS NOT NULL LIMIT 10000) r) AS refused,
  (SELECT count(*) - count(error) FROM (SELECT error FROM messagekit.outbox_rejected ORDER BY id DESC LIMIT 10000) r) AS behind";

/// The events that have not left: their number, the number older than ten seconds, and the age of the oldest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) pending: u64,
    pub(crate) overdue: u64,
    pub(crate) oldest: Option<Duration>,
}

/// The relays' state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relays {
    /// Relays may publish.
    pub(crate) is_open: bool,
    /// A relay held its lease within the last half minute, which is longer than a restart.
    pub(crate) has_relay: bool,
    /// The number of events that a broker has rejected.
    pub(crate) refused: u64,
    /// The number of events that wait behind rejected ones.
    pub(crate) behind: u64,
}

impl Waiting {
    fn of(row: &PgRow) -> sqlx::Result<Self> {
        let oldest: Option<f64> = row.try_get("oldest")?;
        Ok(Self {
            pending: row.try_get::<i64, _>("pending")?.unsigned_abs(),
            overdue: row.try_get::<i64, _>("overdue")?.unsigned_abs(),
            oldest: oldest.map(|age| Duration::try_from_secs_f64(age).unwrap_or_default()),
        })
    }
}

/// Returns a count in words: one that stopped at its limit is a least one.
pub(crate) fn counted(count: u64) -> String {
    if count >= u64::from(COUNT_LIMIT) { format!("at least {COUNT_LIMIT}") } else { count.to_string() }
}

/// Counts the events written after a time, or all that are kept.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    schema: &SchemaName,
    after: Option<Timestamp>,
) -> Result<Waiting, Error> {
    let select = match after {
        Some(after) => sqlx::query(schema.sql(UNCONFIRMED)).bind(after),
        None => sqlx::query(schema.sql(KEPT)),
    };
    let row = select.persistent(false).fetch_one(connection).await.map_err(from_sqlx)?;
    Waiting::of(&row).map_err(from_sqlx)
}

/// Counts the events that wait for a relay.
pub(crate) async fn relayed(connection: &mut PgConnection, schema: &SchemaName) -> Result<Waiting, Error> {
    let select = sqlx::query(schema.sql(RELAYED)).persistent(false);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    Waiting::of(&row).map_err(from_sqlx)
}

/// Returns the state of the relays.
pub(crate) async fn relays(connection: &mut PgConnection, schema: &SchemaName) -> Result<Relays, Error> {
    let select = sqlx::query(schema.sql(RELAYS)).persistent(false);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || {
        Ok(Relays {
            is_open: row.try_get("is_open")?,
            has_relay: row.try_get("has_relay")?,
            refused: row.try_get::<i64, _>("refused")?.unsigned_abs(),
            behind: row.try_get::<i64, _>("behind")?.unsigned_abs(),
        })
    };
    read().map_err(from_sqlx)
}
