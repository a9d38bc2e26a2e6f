//! Dead letters of brokers: failed events of this outbox, and redeliveries.

use std::time::Duration;

use messagekit::adapter::{Redelivery, instance};
use messagekit::operations::Origin;
use messagekit::{Error, MessageId};
use sqlx::{PgConnection, Row};

use super::failed_runs::{appended, leased_by};
use super::retries::leased_of;
use super::{clean, micros};
use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const NOTE_FAILURE: &str = "
WITH ours AS (SELECT 1 FROM messagekit.outbox_events WHERE event_id = $1 LIMIT 1),
noted AS (
  INSERT INTO messagekit.outbox_failures (event_id, consumer, reason) SELECT $1, $2, $3 FROM ours ON CONFLICT DO NOTHING)
SELECT count(*) FROM ours";

/// Same as the lease of a consumer, for every scope.
pub(crate) const LEASE_RETURNS: &str = concat!(
    r#"
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.failed_messages d
  WHERE d.origin = $1 AND d.origin <> 'store' AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now()
    AND d.return_to IS NOT NULL
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.failed_messages d
  SET due = now() + $3 * interval '1 microsecond', crash_count = d.crash_count + (d.running_since IS NOT NULL)::int,
    running_since = now(), token = d.token + 1, attempts = d.attempts + 1,
    "#,
    leased_by!("$4"),
    r#"
  FROM head WHERE d.id = head.id
  RETURNING d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.consumer, d.return_to, head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id"#
);

/// Records that an event failed at `scope`; returns false when the event is not ours.
pub(crate) async fn note_failure(
    connection: &mut PgConnection,
    schema: &SchemaName,
    event_id: &MessageId,
    scope: &str,
    reason: &str,
) -> Result<bool, Error> {
    let note =
        sqlx::query_scalar(schema.sql(NOTE_FAILURE)).bind(event_id.as_str()).bind(scope).bind(clean(reason));
    note.fetch_one(connection).await.map(|ours: i64| ours == 1).map_err(from_sqlx)
}

/// Leases failed messages for redelivery.
pub(crate) async fn lease_returns(
    connection: &mut PgConnection,
    schema: &SchemaName,
    origin: Origin,
    max: u32,
    lease: Duration,
) -> Result<Vec<Redelivery>, Error> {
    let lease =
        sqlx::query(schema.sql(LEASE_RETURNS)).bind(origin.as_str()).bind(i64::from(max)).bind(micros(lease));
    let lease = lease.bind(instance());
    let rows = lease.fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter()
        .map(|row| {
            Ok(Redelivery {
                scope: row.try_get("consumer").map_err(from_sqlx)?,
                origin,
                return_to: row.try_get("return_to").map_err(from_sqlx)?,
                leased: leased_of(row)?,
            })
        })
        .collect()
}
