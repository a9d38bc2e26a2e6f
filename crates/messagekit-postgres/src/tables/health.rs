//! The state of the outbox's publishing mode.

use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::adapter::SchemaVersion;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::micros;
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::migrations::{check_encoding, version_of};

/// How long checkpoints and the times of copies are kept. A slot that has not moved for longer has no time.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// The lock space of the checkpoint's advisory lock; the second part is the hash of the schema's name.
const LOCK_SPACE: i32 = 0x6d6b_6370;

/// The time at which the log reached the slot's confirmed position. It is interpolated by bytes between two checkpoints,
/// or between the last one and now. NULL when no checkpoint is that old.
pub(crate) const CONFIRMED: &str = "
WITH slot AS MATERIALIZED (SELECT confirmed_flush_lsn AS wal FROM pg_replication_slots WHERE slot_name = $1),
before AS MATERIALIZED (
  SELECT c.at, c.wal FROM messagekit.outbox_checkpoints c
  WHERE c.wal <= (SELECT wal FROM slot) ORDER BY c.wal DESC, c.at DESC LIMIT 1),
behind AS MATERIALIZED (
  SELECT c.at, c.wal FROM messagekit.outbox_checkpoints c
  WHERE c.wal > (SELECT wal FROM slot) ORDER BY c.wal, c.at LIMIT 1),
current AS MATERIALIZED (SELECT clock_timestamp() AS at, pg_current_wal_insert_lsn() AS wal)
SELECT CASE WHEN s.wal >= n.wal THEN n.at
  ELSE b.at + (coalesce(a.at, n.at) - b.at) * ((s.wal - b.wal) / (coalesce(a.wal, n.wal) - b.wal))::float8 END AS at,
  n.at AS now
FROM current n LEFT JOIN slot s ON true LEFT JOIN before b ON true LEFT JOIN behind a ON true";

/// Counts originals by the time of their row, copies by the time of the step that wrote them.
pub(crate) const WAITING: &str = "
SELECT coalesce(sum(w.events), 0)::bigint AS pending,
  coalesce(sum(w.events) FILTER (WHERE w.at <= clock_timestamp() - interval '10 s'), 0)::bigint AS overdue,
  extract(epoch FROM clock_timestamp() - min(w.at) FILTER (WHERE isfinite(w.at)))::float8 AS oldest
FROM (
  SELECT created_at AS at, 1 AS events FROM messagekit.outbox_events
  WHERE copy = 0 AND ($1::timestamptz IS NULL OR created_at > $1)
  UNION ALL
  SELECT at, copies FROM messagekit.outbox_copies WHERE $1::timestamptz IS NULL OR at > $1) w";

/// Events that a relay has to publish: a delayed event is not pending until it is due.
pub(crate) const RELAYED: &str = "
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  p.pending, p.overdue, p.oldest, r.refused, r.behind
FROM (
  SELECT count(*) AS pending, count(*) FILTER (WHERE available_at <= clock_timestamp() - interval '10 s') AS overdue,
    extract(epoch FROM clock_timestamp() - min(available_at))::float8 AS oldest
  FROM messagekit.outbox_pending WHERE shard >= 0 OR available_at <= clock_timestamp()) p
CROSS JOIN (
  SELECT count(error) AS refused, count(*) - count(error) AS behind FROM messagekit.outbox_rejected) r";

/// Who publishes; a relay that held its lease within the last half minute lives.
pub(crate) const PUBLISHER: &str = "
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  EXISTS (SELECT FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()) AS has_slot";

pub(crate) const LAST_CHECKPOINT: &str = "
SELECT (SELECT max(at) FROM messagekit.outbox_checkpoints) > clock_timestamp() - $1 * interval '1 microsecond'";

/// Returns false while another transaction writes a checkpoint.
pub(crate) const MAY_WRITE: &str = "SELECT pg_try_advisory_xact_lock($1, hashtext($2))";

pub(crate) const CHECKPOINT: &str = "
INSERT INTO messagekit.outbox_checkpoints (at, wal, oldest_xid, last_seq, xid)
SELECT clock_timestamp(), pg_current_wal_insert_lsn(), pg_snapshot_xmin(pg_current_snapshot()),
  coalesce(pg_sequence_last_value(pg_get_serial_sequence('messagekit.outbox_events', 'seq')::regclass), 0),
  pg_current_xact_id()";

pub(crate) const PRUNE: &str = "
WITH copies AS (DELETE FROM messagekit.outbox_copies WHERE at < now() - $1 * interval '1 microsecond')
DELETE FROM messagekit.outbox_checkpoints WHERE at < now() - $1 * interval '1 microsecond'";

/// Any row of the newest step proves that the tables exist.
pub(crate) const PING: &str = "
SELECT coalesce(max(m.version), 0), coalesce(max(coalesce((to_jsonb(m) ->> 'lowest_program')::int, m.version)), 0),
  current_database()::text, current_setting('server_encoding')
FROM messagekit.schema_migrations m";

/// The time at which the log reached the slot's confirmed position, and its age.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Confirmed {
    pub(crate) at: Timestamp,
    pub(crate) age: Duration,
}

/// Returns the confirmed position of a slot as a time.
pub(crate) async fn confirmed(
    connection: &mut PgConnection,
    schema: &SchemaName,
    slot: &str,
) -> Result<Option<Confirmed>, Error> {
    let select = sqlx::query(schema.sql(CONFIRMED)).persistent(false).bind(slot);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || Ok((row.try_get::<Option<Timestamp>, _>("at")?, row.try_get::<Timestamp, _>("now")?));
    let (at, now) = read().map_err(from_sqlx)?;
    Ok(at.map(|at| {
        let age = now.to_jiff().duration_since(at.to_jiff());
        Confirmed { at, age: Duration::try_from(age).unwrap_or_default() }
    }))
}

/// Events written after a time: their number, the number older than ten seconds, and the age of the oldest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) pending: u64,
    pub(crate) overdue: u64,
    pub(crate) oldest: Option<Duration>,
}

/// The events that wait for a relay, and the relays' state.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relayed {
    /// Every written event becomes pending.
    pub(crate) is_on: bool,
    /// Relays may publish.
    pub(crate) is_open: bool,
    /// A relay held its lease within the last half minute, which is longer than a restart.
    pub(crate) has_relay: bool,
    pub(crate) waiting: Waiting,
    /// The number of events that a broker has rejected.
    pub(crate) refused: i64,
    /// The number of events that wait behind rejected ones.
    pub(crate) behind: i64,
}

/// Counts the events that wait for a relay.
pub(crate) async fn relayed(connection: &mut PgConnection, schema: &SchemaName) -> Result<Relayed, Error> {
    let select = sqlx::query(schema.sql(RELAYED)).persistent(false);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || {
        Ok(Relayed {
            is_on: row.try_get("is_on")?,
            is_open: row.try_get("is_open")?,
            has_relay: row.try_get("has_relay")?,
            waiting: Waiting::of(&row)?,
            refused: row.try_get("refused")?,
            behind: row.try_get("behind")?,
        })
    };
    read().map_err(from_sqlx)
}

/// Who publishes the events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishers {
    pub(crate) is_on: bool,
    pub(crate) has_relay: bool,
    pub(crate) has_slot: bool,
}

/// Returns who publishes the events.
pub(crate) async fn publisher(
    connection: &mut PgConnection,
    schema: &SchemaName,
    slot: &str,
) -> Result<Publishers, Error> {
    let select = sqlx::query(schema.sql(PUBLISHER)).persistent(false).bind(slot);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || {
        Ok(Publishers {
            is_on: row.try_get("is_on")?,
            has_relay: row.try_get("has_relay")?,
            has_slot: row.try_get("has_slot")?,
        })
    };
    read().map_err(from_sqlx)
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

/// Counts the events written after a time, or all events.
pub(crate) async fn waiting(
    connection: &mut PgConnection,
    schema: &SchemaName,
    after: Option<Timestamp>,
) -> Result<Waiting, Error> {
    let select = sqlx::query(schema.sql(WAITING)).persistent(false).bind(after);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    Waiting::of(&row).map_err(from_sqlx)
}

/// Returns whether a checkpoint is younger than `every`.
pub(crate) async fn has_checkpoint(
    connection: &mut PgConnection,
    schema: &SchemaName,
    every: Duration,
) -> Result<bool, Error> {
    let select = sqlx::query_scalar(schema.sql(LAST_CHECKPOINT)).bind(micros(every));
    select.fetch_one(connection).await.map(|young: Option<bool>| young == Some(true)).map_err(from_sqlx)
}

/// Writes a checkpoint in the caller's transaction, unless another process is doing so or has done so.
pub(crate) async fn checkpoint(
    connection: &mut PgConnection,
    schema: &SchemaName,
    every: Duration,
) -> Result<(), Error> {
    let lock = sqlx::query_scalar(schema.sql(MAY_WRITE)).bind(LOCK_SPACE).bind(schema.as_str());
    // Checked again under the lock: within one statement, the snapshot could be older than the lock.
    if !lock.fetch_one(&mut *connection).await.map_err(from_sqlx)?
        || has_checkpoint(connection, schema, every).await?
    {
        return Ok(());
    }
    sqlx::query(schema.sql(CHECKPOINT)).execute(&mut *connection).await.map_err(from_sqlx)?;
    let prune = sqlx::query(schema.sql(PRUNE)).bind(micros(KEPT));
    prune.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Returns the version of the tables. Refuses a database that is not UTF-8.
pub(crate) async fn ping(connection: &mut PgConnection, schema: &SchemaName) -> Result<SchemaVersion, Error> {
    let select = sqlx::query_as(schema.sql(PING));
    let (current, lowest_program, database, encoding): (i32, i32, String, String) =
        select.fetch_one(connection).await.map_err(from_sqlx)?;
    check_encoding(&database, &encoding)?;
    Ok(version_of(current, lowest_program))
}
