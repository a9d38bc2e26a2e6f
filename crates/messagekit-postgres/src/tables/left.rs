//! How events leave a database, and up to where they have left it.

use jiff_sqlx::Timestamp;
use messagekit::Error;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// How events leave, and up to where a slot has provably passed them. The proof is the last checkpoint with this
/// property: all its transactions had ended when a later checkpoint was written that the slot has passed. The ten minutes
/// cover a producer that pauses between taking the time of its event and drawing its number.
pub(crate) const LEFT: &str = "
WITH slot AS MATERIALIZED (
  SELECT confirmed_flush_lsn AS wal FROM pg_replication_slots
  WHERE slot_name = $1 AND slot_type = 'logical' AND database = current_database()),
passed AS MATERIALIZED (
  SELECT c.oldest_xid FROM messagekit.outbox_checkpoints c
  WHERE c.oldest_xid IS NOT NULL AND c.wal <= (SELECT wal FROM slot) ORDER BY c.wal DESC, c.at DESC LIMIT 1),
upto AS MATERIALIZED (
  SELECT c.at - interval '10 min' AS before, c.last_seq FROM messagekit.outbox_checkpoints c
  WHERE c.xid <= (SELECT oldest_xid FROM passed) ORDER BY c.at DESC LIMIT 1)
SELECT EXISTS (SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending') AS is_on,
  EXISTS (SELECT FROM messagekit.relay_shards) AS is_open,
  EXISTS (SELECT FROM messagekit.replay_jobs WHERE state = 'running') AS is_replayed,
  EXISTS (SELECT FROM slot) AS has_slot,
  (SELECT before FROM upto) AS before, (SELECT last_seq FROM upto) AS last_seq";

/// How events leave a database.
pub(crate) struct Left {
    pub(crate) is_on: bool,
    pub(crate) is_open: bool,
    pub(crate) is_replayed: bool,
    pub(crate) has_slot: bool,
    /// The slot has passed events that were written before this time, at positions up to the next field.
    pub(crate) before: Option<Timestamp>,
    pub(crate) last_seq: Option<i64>,
}

/// Returns how events leave.
pub(crate) async fn left(
    connection: &mut PgConnection,
    schema: &SchemaName,
    slot: &str,
) -> Result<Left, Error> {
    let select = sqlx::query(schema.sql(LEFT)).persistent(false).bind(slot);
    let row = select.fetch_one(connection).await.map_err(from_sqlx)?;
    let read = || {
        Ok(Left {
            is_on: row.try_get("is_on")?,
            is_open: row.try_get("is_open")?,
            is_replayed: row.try_get("is_replayed")?,
            has_slot: row.try_get("has_slot")?,
            before: row.try_get("before")?,
            last_seq: row.try_get("last_seq")?,
        })
    };
    read().map_err(from_sqlx)
}
