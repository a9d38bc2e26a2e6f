//! The state of the outbox's publishing mode.

use std::time::Duration;

use jiff_sqlx::Timestamp;
use messagekit::Error;
use messagekit::adapter::SchemaVersion;
use sqlx::{PgConnection, Row};

use super::micros;
use crate::SchemaName;
use crate::cdc::Capture;
use crate::error::from_sqlx;
use crate::migrations::{check_encoding, version_of};
use crate::read_only;

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

/// Every written event becomes pending for a relay.
pub(crate) const IS_RELAYED: &str = "
SELECT EXISTS (SELECT FROM pg_trigger
  WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending')";

/// Who publishes; a relay that held its lease within the last half minute lives.
pub(crate) const PUBLISHER: &str = "
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  coalesce((SELECT max(until) FROM messagekit.relay_members) > clock_timestamp() - interval '30 s', false) AS has_relay,
  EXISTS (SELECT FROM pg_replication_slots
    WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()) AS has_slot,
  EXISTS (SELECT FROM pg_publication WHERE pubname = $2) AS has_publication";

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
  current_database()::text, current_setting('server_encoding'), current_setting('transaction_read_only')::boolean
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

/// Who publishes the events.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishers {
    pub(crate) is_on: bool,
    pub(crate) has_relay: bool,
    pub(crate) has_slot: bool,
    /// Events are meant to leave by a slot, also when it is lost.
    pub(crate) has_publication: bool,
}

/// Returns whether relays publish. Reads the catalogue only, so it waits for no lock of a table.
pub(crate) async fn is_relayed(connection: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let select = sqlx::query_scalar(schema.sql(IS_RELAYED)).persistent(false);
    select.fetch_one(connection).await.map_err(from_sqlx)
}

/// Returns who publishes the events.
pub(crate) async fn publisher(
    connection: &mut PgConnection,
    schema: &SchemaName,
    capture: &Capture,
) -> Result<Publishers, Error> {
    let select = sqlx::query(schema.sql(PUBLISHER)).persistent(false);
    let select = select.bind(&capture.slot).bind(&capture.publication);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || {
        Ok(Publishers {
            is_on: row.try_get("is_on")?,
            has_relay: row.try_get("has_relay")?,
            has_slot: row.try_get("has_slot")?,
            has_publication: row.try_get("has_publication")?,
        })
    };
    read().map_err(from_sqlx)
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
    let (current, lowest_program, database, encoding, is_read_only): (i32, i32, String, String, bool) =
        select.fetch_one(connection).await.map_err(from_sqlx)?;
    read_only::check(is_read_only)?;
    check_encoding(&database, &encoding)?;
    Ok(version_of(current, lowest_program))
}
