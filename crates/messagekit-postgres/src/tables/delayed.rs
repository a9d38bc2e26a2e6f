//! Events that are not due yet.

use std::time::Duration;

use messagekit::Error;
use sqlx::PgConnection;

use crate::SchemaName;
use crate::error::from_sqlx;

/// The most delayed events that become ready in one statement.
const MOST_DUE: i64 = 1_000;

/// Compares with the start time of the statement, because an index condition needs a constant time.
pub(crate) const DUE: &str = "
UPDATE messagekit.outbox_pending p SET shard = p.shard + 64
FROM (
  SELECT shard, topic, seq FROM messagekit.outbox_pending
  WHERE shard < 0 AND available_at <= statement_timestamp() ORDER BY available_at LIMIT $1 FOR UPDATE SKIP LOCKED) d
WHERE p.shard = d.shard AND p.topic = d.topic AND p.seq = d.seq";

/// At most a day, because an infinite time cannot be subtracted.
pub(crate) const NEXT_DUE: &str = "
SELECT CASE WHEN min(available_at) IS NOT NULL THEN extract(epoch FROM
    greatest(least(min(available_at), statement_timestamp() + interval '1 day'), statement_timestamp() - interval '1 day')
    - statement_timestamp()) END::float8
FROM messagekit.outbox_pending WHERE shard < 0";

/// Makes delayed events ready, and returns when the next one is due.
pub(crate) async fn due(
    connection: &mut PgConnection,
    schema: &SchemaName,
) -> Result<Option<Duration>, Error> {
    let mut is_moved = false;
    loop {
        let next = sqlx::query_scalar(schema.sql(NEXT_DUE)).fetch_one(&mut *connection).await;
        let Some(seconds): Option<f64> = next.map_err(from_sqlx)? else { return Ok(None) };
        if seconds > 0.0 || is_moved {
            return Ok(Some(Duration::try_from_secs_f64(seconds).unwrap_or_default()));
        }
        let update = sqlx::query(schema.sql(DUE)).bind(MOST_DUE).execute(&mut *connection).await;
        update.map_err(from_sqlx)?;
        is_moved = true;
    }
}
