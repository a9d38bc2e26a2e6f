//! Events that a relay has to publish, now or later.

use messagekit::Error;
use messagekit::operations::UnpublishedEvent;
use sqlx::PgConnection;

use super::operator_row;
use crate::SchemaName;

/// Pending events in the order of their keys' shards would show no backlog: the first ones of each shard and topic are merged,
/// which takes one step from one topic of a shard to the next, however many events each has. Delayed ones follow.
pub(crate) const UNPUBLISHED: &str = "
WITH RECURSIVE streams (shard, topic) AS (
  (SELECT q.shard, q.topic FROM messagekit.outbox_pending q WHERE q.shard >= 0 ORDER BY q.shard, q.topic LIMIT 1)
  UNION ALL
  SELECT n.shard, n.topic FROM streams s CROSS JOIN LATERAL (
    SELECT q.shard, q.topic FROM messagekit.outbox_pending q
    WHERE (q.shard, q.topic) > (s.shard, s.topic) ORDER BY q.shard, q.topic LIMIT 1) n),
pending AS MATERIALIZED (
  SELECT h.* FROM streams s CROSS JOIN LATERAL (
    SELECT q.* FROM messagekit.outbox_pending q WHERE q.shard = s.shard AND q.topic = s.topic ORDER BY q.seq LIMIT $1) h
  ORDER BY h.seq LIMIT $1),
delayed AS MATERIALIZED (
  SELECT q.* FROM messagekit.outbox_pending q WHERE q.shard < 0 ORDER BY q.available_at LIMIT $1)
SELECT p.event_id, e.event_type, p.topic, e.aggregate_id AS key, p.attempts, p.available_at AS ready_at, p.shard < 0 AS is_delayed
FROM (SELECT * FROM pending UNION ALL SELECT * FROM delayed) p
LEFT JOIN LATERAL (
  SELECT o.event_type, o.aggregate_id FROM messagekit.outbox_events o
  WHERE o.event_id = p.event_id AND o.copy = p.copy AND messagekit.day_of(o.event_id) = messagekit.day_of(p.event_id) OFFSET 0) e ON true
ORDER BY p.shard < 0, CASE WHEN p.shard < 0 THEN p.available_at END, p.seq LIMIT $1";

/// Returns pending events, oldest first, and then delayed ones.
pub(crate) async fn list(
    connection: &mut PgConnection,
    schema: &SchemaName,
    limit: u32,
) -> Result<Vec<UnpublishedEvent>, Error> {
    let select = sqlx::query(schema.sql(UNPUBLISHED)).persistent(false).bind(i64::from(limit));
    operator_row::list(connection, select).await
}
