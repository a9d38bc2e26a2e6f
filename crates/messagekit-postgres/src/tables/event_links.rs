//! The ids that tie events to others.

use messagekit::operations::LinkedEvent;
use messagekit::{Error, MessageId};
use sqlx::PgConnection;

use super::operator_row;
use crate::SchemaName;

/// The events of ids `f`, each by one look into the index of its part, or of the topics of this database, and in the order of their time.
macro_rules! events_of {
    ($ids:literal, $limit:literal) => {
        concat!(
            "SELECT e.event_id, e.event_type, e.topic, e.aggregate_id AS key, e.created_at, l.correlation_id, l.causation_id, l.replay_of
FROM (",
            $ids,
            ") f (id)
CROSS JOIN LATERAL (
  SELECT o.event_id, o.event_type, o.topic, o.aggregate_id, o.created_at FROM messagekit.outbox_events o
  WHERE o.event_id = f.id AND o.copy = 0 AND messagekit.day_of(o.event_id) = messagekit.day_of(f.id)
  UNION ALL
  SELECT r.event_id, r.event_type, (SELECT t.name FROM messagekit.topics t WHERE t.id = r.topic_id), r.key, r.created_at
  FROM messagekit.topic_records r WHERE r.event_id = f.id
  LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
  WHERE k.event_id = f.id OFFSET 0) l ON true
ORDER BY e.created_at, e.event_id LIMIT ",
            $limit
        )
    };
}

/// Events by their ids, and by their causes.
pub(crate) const LINKED: &str = events_of!(
    "SELECT w.id FROM unnest($1::text[]) AS w (id)
  UNION
  SELECT c.event_id FROM unnest($2::text[]) AS w (id) CROSS JOIN LATERAL (
    SELECT k.event_id FROM messagekit.outbox_links k WHERE k.causation_id = w.id ORDER BY k.event_id LIMIT $3) c",
    "$3"
);

pub(crate) const CORRELATED: &str = events_of!(
    "SELECT $1::text
  UNION
  (SELECT k.event_id FROM messagekit.outbox_links k WHERE k.correlation_id = $1 ORDER BY k.event_id LIMIT $2)",
    "$2"
);

pub(crate) const REPUBLISHED: &str = events_of!(
    "(SELECT k.event_id FROM messagekit.outbox_links k WHERE k.replay_of = $1 ORDER BY k.event_id LIMIT $2)",
    "$2"
);

/// Removes links whose event is gone. They are few beside the events, and each asks for its event by one look.
pub(crate) const CLEAN_LINKS: &str = "
WITH old AS MATERIALIZED (
  SELECT l.ctid FROM messagekit.outbox_links l
  WHERE l.ctid >= $1::text::tid AND l.ctid < $2::text::tid AND l.created_at < now() - $3 * interval '1 microsecond'
    AND (SELECT true FROM messagekit.outbox_events e WHERE e.event_id = l.event_id
      AND messagekit.day_of(e.event_id) = messagekit.day_of(l.event_id) LIMIT 1) IS NULL
    AND (SELECT true FROM messagekit.topic_records r WHERE r.event_id = l.event_id LIMIT 1) IS NULL
  FOR UPDATE SKIP LOCKED),
gone AS (DELETE FROM messagekit.outbox_links WHERE ctid = ANY (ARRAY (SELECT ctid FROM old)) RETURNING 1)
SELECT count(*) AS removed,
  pg_relation_size('messagekit.outbox_links') / current_setting('block_size')::bigint AS blocks FROM gone";

/// Returns events by their ids and their causes, oldest first.
pub(crate) async fn linked(
    connection: &mut PgConnection,
    schema: &SchemaName,
    ids: &[MessageId],
    causes: &[MessageId],
    limit: u32,
) -> Result<Vec<LinkedEvent>, Error> {
    let texts = |ids: &[MessageId]| ids.iter().map(|id| id.as_str().to_owned()).collect::<Vec<_>>();
    let select = sqlx::query(schema.sql(LINKED)).persistent(false).bind(texts(ids)).bind(texts(causes));
    operator_row::list(connection, select.bind(i64::from(limit))).await
}

/// Returns the events of a correlation, or the republications of an event, oldest first.
pub(crate) async fn by_link(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statement: &'static str,
    id: &MessageId,
    limit: u32,
) -> Result<Vec<LinkedEvent>, Error> {
    let select = sqlx::query(schema.sql(statement)).persistent(false).bind(id.as_str().to_owned());
    operator_row::list(connection, select.bind(i64::from(limit))).await
}
