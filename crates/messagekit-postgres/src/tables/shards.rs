//! The relays that own the shards. The time of a lease stands in `relay_members`, the owner of a shard in `relay_shards`.

use std::time::Duration;

use messagekit::relay::{Leases, SHARDS, ShardLease};
use messagekit::{Error, ErrorKind};
use sqlx::{PgConnection, Row};

use super::micros;
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::membership::LOCK_SPACE;

/// Renews a relay's lease and takes shards without a live owner, up to its fair share. A relay that registered as present
/// counts as live while its lock is held, and no relay counts as live after its lease.
///
/// Of two concurrent calls, each skips what the other has locked. A live relay that was considered dead finds another
/// epoch when it reads.
pub(crate) const RENEW_LEASE: &str = "
WITH member AS (
  INSERT INTO messagekit.relay_members (name, until, is_present)
  VALUES ($1, clock_timestamp() + $2 * interval '1 microsecond', $4)
  ON CONFLICT (name) DO UPDATE SET until = excluded.until, is_present = excluded.is_present),
forgotten AS (
  DELETE FROM messagekit.relay_members WHERE name IN (
    SELECT name FROM messagekit.relay_members
    WHERE name <> $1 AND until < clock_timestamp() - interval '1 h' FOR UPDATE SKIP LOCKED)),
present AS MATERIALIZED (
  SELECT objid FROM pg_locks WHERE locktype = 'advisory' AND classid = $5::int::oid AND objsubid = 2 AND granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())),
living AS MATERIALIZED (
  SELECT name FROM messagekit.relay_members
  WHERE name <> $1 AND until > clock_timestamp()
    AND (NOT is_present OR hashtext(name)::oid IN (SELECT objid FROM present))),
share AS MATERIALIZED (SELECT ceil($3 / (1 + count(*)))::bigint AS shards FROM living),
mine AS MATERIALIZED (SELECT shard, epoch FROM messagekit.relay_shards WHERE owner = $1),
free AS MATERIALIZED (
  SELECT shard FROM messagekit.relay_shards
  WHERE owner IS DISTINCT FROM $1 AND (owner IS NULL OR owner NOT IN (SELECT name FROM living))
  ORDER BY shard LIMIT greatest(0, (SELECT shards FROM share) - (SELECT count(*) FROM mine))
  FOR UPDATE SKIP LOCKED),
taken AS (
  UPDATE messagekit.relay_shards s SET owner = $1, epoch = s.epoch + 1
  FROM free f WHERE s.shard = f.shard RETURNING s.shard, s.epoch)
SELECT EXISTS (
    SELECT FROM pg_trigger
    WHERE tgrelid = 'messagekit.outbox_events'::regclass AND tgname = 'outbox_is_pending' AND tgenabled <> 'D') AS is_on,
  f.shards, h.shard, h.epoch
FROM share f LEFT JOIN (SELECT * FROM mine UNION ALL SELECT * FROM taken) h ON true ORDER BY h.shard";

pub(crate) const HAND_OVER: &str = "
UPDATE messagekit.relay_shards s SET owner = NULL
FROM unnest($2::smallint[], $3::bigint[]) AS g (shard, epoch)
WHERE s.shard = g.shard AND s.epoch = g.epoch AND s.owner = $1";

pub(crate) const LEAVE: &str = "
WITH gone AS (DELETE FROM messagekit.relay_members WHERE name = $1)
UPDATE messagekit.relay_shards SET owner = NULL WHERE owner = $1";

/// Locks a shard against a change of owner, and against an operator's action, until the end of the transaction.
pub(crate) const HOLD: &str = "
SELECT true FROM messagekit.relay_shards
WHERE shard = $2 AND epoch = $3 AND owner = $1
  AND (SELECT until FROM messagekit.relay_members WHERE name = $1) > clock_timestamp()
FOR NO KEY UPDATE";

/// As [`HOLD`], for a caller that owns no shard.
pub(crate) const HOLD_ANY: &str =
    "SELECT true FROM messagekit.relay_shards WHERE shard = $1 FOR NO KEY UPDATE";

/// Makes the owner restart the shard.
pub(crate) const BEGIN_AGAIN: &str = "UPDATE messagekit.relay_shards SET epoch = epoch + 1 WHERE shard = $1";

/// Returns the column value of a shard's number.
pub(crate) fn number(shard: u16) -> i16 {
    shard.cast_signed()
}

/// Renews the lease of a relay, and returns the shards that it may publish.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
    lease: Duration,
    is_present: bool,
) -> Result<Leases, Error> {
    let lease = sqlx::query(schema.sql(RENEW_LEASE)).bind(name).bind(micros(lease)).bind(f64::from(SHARDS));
    let lease = lease.bind(is_present).bind(LOCK_SPACE);
    let rows = lease.fetch_all(connection).await.map_err(from_sqlx)?;
    let mut leases = Leases::default();
    for row in &rows {
        let read = || Ok((row.try_get::<bool, _>(0)?, row.try_get::<i64, _>(1)?, row.try_get(2)?));
        let (is_on, shards, shard): (bool, i64, Option<i16>) = read().map_err(from_sqlx)?;
        if !is_on {
            let text = "outbox is not made for a relay: run `messagekit migrate --relay`";
            return Err(Error::new(ErrorKind::Schema, text).with("schema", schema));
        }
        if let Some(shard) = shard {
            let epoch = row.try_get(3).map_err(from_sqlx)?;
            leases.held.push(ShardLease { shard: shard.cast_unsigned(), epoch });
        }
        let share = usize::try_from(shards).unwrap_or_default();
        leases.surplus = leases.held.len().saturating_sub(share);
    }
    Ok(leases)
}

/// Releases shards.
pub(crate) async fn hand_over(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
    leases: &[ShardLease],
) -> Result<(), Error> {
    let free = sqlx::query(schema.sql(HAND_OVER))
        .bind(name)
        .bind(leases.iter().map(|lease| number(lease.shard)).collect::<Vec<_>>())
        .bind(leases.iter().map(|lease| lease.epoch).collect::<Vec<_>>());
    free.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Releases every shard of a relay and removes its membership.
pub(crate) async fn leave(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
) -> Result<(), Error> {
    sqlx::query(schema.sql(LEAVE)).bind(name).execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Locks a shard if this relay still owns it.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
    lease: ShardLease,
) -> Result<bool, Error> {
    let hold = sqlx::query_scalar(schema.sql(HOLD)).bind(name).bind(number(lease.shard)).bind(lease.epoch);
    hold.fetch_optional(connection).await.map(|held: Option<bool>| held.is_some()).map_err(from_sqlx)
}

/// Locks a shard of any owner.
pub(crate) async fn hold_any(
    connection: &mut PgConnection,
    schema: &SchemaName,
    shard: i16,
) -> Result<(), Error> {
    sqlx::query(schema.sql(HOLD_ANY)).bind(shard).execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Makes the owner of a shard restart it.
pub(crate) async fn begin_again(
    connection: &mut PgConnection,
    schema: &SchemaName,
    shard: i16,
) -> Result<(), Error> {
    sqlx::query(schema.sql(BEGIN_AGAIN)).bind(shard).execute(connection).await.map(drop).map_err(from_sqlx)
}
