//! Jobs that publish kept events again.

use std::time::Duration;

use messagekit::Error;
use messagekit::operations::{ReplayJob, ReplayOrder, other_count};
use sqlx::{PgConnection, Row};

use super::operator_row::{self, read};
use super::replay_items::{self, Items};
use super::stored_events::filtered;
use super::{clean, micros};
use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const ORDER: &str = r#"
INSERT INTO messagekit.replay_jobs (event_type, topic, key, "from", until, ids, per_second, state, ordered_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8) RETURNING id"#;

/// A job without events is done.
pub(crate) const CHOSEN: &str = "
UPDATE messagekit.replay_jobs SET events = $2, state = CASE WHEN $2 = 0 THEN 'done' ELSE state END
WHERE id = $1 RETURNING *";

pub(crate) const REPLAY: &str = "SELECT * FROM messagekit.replay_jobs WHERE id = $1";

pub(crate) const REPLAYS: &str =
    "SELECT * FROM messagekit.replay_jobs WHERE id < $1 ORDER BY id DESC LIMIT $2";

pub(crate) const CANCEL: &str = "
UPDATE messagekit.replay_jobs
SET state = 'cancelled', epoch = epoch + 1, lease_until = NULL, changed_at = clock_timestamp()
WHERE id = $1 AND state = 'running'";

pub(crate) const LEASE_REPLAY: &str = "
WITH next AS MATERIALIZED (
  SELECT id FROM messagekit.replay_jobs
  WHERE state = 'running' AND (lease_until IS NULL OR lease_until <= now())
  ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
UPDATE messagekit.replay_jobs j SET epoch = j.epoch + 1, lease_until = now() + $1 * interval '1 microsecond'
FROM next WHERE j.id = next.id RETURNING j.*";

/// Locks the job until the step has ended. A concurrent lease skips it, and a cancellation waits.
pub(crate) const HOLD: &str = "
SELECT * FROM messagekit.replay_jobs WHERE id = $1 AND epoch = $2 AND state = 'running' FOR UPDATE";

pub(crate) const MOVE: &str = "
UPDATE messagekit.replay_jobs
SET published = published + $3, position = $2, lease_until = now() + $4 * interval '1 microsecond',
  changed_at = clock_timestamp(),
  state = CASE WHEN $2 < events THEN state WHEN published + $3 = events THEN 'done' ELSE 'failed' END,
  error = CASE WHEN $2 < events OR published + $3 = events THEN error
    ELSE (events - published - $3) || ' of the chosen events were not kept any more when their turn came' END
WHERE id = $1 RETURNING *";

pub(crate) const FAIL_REPLAY: &str = "
UPDATE messagekit.replay_jobs
SET state = 'failed', error = $3, lease_until = NULL, changed_at = clock_timestamp()
WHERE id = $1 AND epoch = $2 AND state = 'running' RETURNING *";

/// Stores a job and the list of its events.
pub(crate) async fn order(
    connection: &mut PgConnection,
    schema: &SchemaName,
    order: &ReplayOrder,
    by: &str,
) -> Result<ReplayJob, Error> {
    let filter = &order.filter;
    let insert = filtered(schema, ORDER, filter)
        .bind(order.ids.as_str())
        .bind(order.per_second.map(i64::from))
        .bind(clean(by));
    let row = insert.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let job: i64 = row.try_get(0).map_err(from_sqlx)?;
    let events = replay_items::choose(&mut *connection, schema, filter, job).await?;
    if order.count.is_some_and(|count| count != events) {
        // The caller rolls the writes back.
        return Err(other_count(events));
    }
    let update = sqlx::query(schema.sql(CHOSEN)).bind(job).bind(events.cast_signed());
    read(&update.fetch_one(connection).await.map_err(from_sqlx)?)
}

/// Returns a job, if there is one.
pub(crate) async fn replay(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<Option<ReplayJob>, Error> {
    let select = sqlx::query(schema.sql(REPLAY)).bind(id);
    select.fetch_optional(connection).await.map_err(from_sqlx)?.as_ref().map(read).transpose()
}

/// Returns jobs, newest first.
pub(crate) async fn replays(
    connection: &mut PgConnection,
    schema: &SchemaName,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<ReplayJob>, Error> {
    let select = sqlx::query(schema.sql(REPLAYS)).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
    operator_row::list(connection, select).await
}

/// Stops a running job; false when it does not run.
pub(crate) async fn cancel(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<bool, Error> {
    let update = sqlx::query(schema.sql(CANCEL)).bind(id);
    let cancelled = update.execute(&mut *connection).await.map_err(from_sqlx)?.rows_affected() == 1;
    if cancelled {
        replay_items::forget(connection, schema, id).await?;
    }
    Ok(cancelled)
}

/// Leases the oldest running job that no process has leased.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    lease: Duration,
) -> Result<Option<(i64, ReplayJob)>, Error> {
    let update = sqlx::query(schema.sql(LEASE_REPLAY)).bind(micros(lease));
    let Some(row) = update.fetch_optional(connection).await.map_err(from_sqlx)? else { return Ok(None) };
    Ok(Some((row.try_get("epoch").map_err(from_sqlx)?, read(&row)?)))
}

/// Locks a job that this epoch still holds, and returns it with the number of the last item taken.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
    epoch: i64,
) -> Result<Option<(ReplayJob, i64)>, Error> {
    let select = sqlx::query(schema.sql(HOLD)).bind(id).bind(epoch);
    let Some(row) = select.fetch_optional(connection).await.map_err(from_sqlx)? else { return Ok(None) };
    Ok(Some((read(&row)?, row.try_get("position").map_err(from_sqlx)?)))
}

/// Stores a job's progress, and returns the job.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
    published: i64,
    extend: Duration,
) -> Result<ReplayJob, Error> {
    let update =
        sqlx::query(schema.sql(MOVE)).bind(items.job).bind(items.upto).bind(published).bind(micros(extend));
    read(&update.fetch_one(connection).await.map_err(from_sqlx)?)
}

/// Ends a job that cannot continue, if this epoch still holds it.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
    epoch: i64,
    error: &str,
) -> Result<Option<ReplayJob>, Error> {
    let update = sqlx::query(schema.sql(FAIL_REPLAY)).bind(id).bind(epoch).bind(clean(error));
    let Some(row) = update.fetch_optional(&mut *connection).await.map_err(from_sqlx)? else {
        return Ok(None);
    };
    replay_items::forget(connection, schema, id).await?;
    read(&row).map(Some)
}
