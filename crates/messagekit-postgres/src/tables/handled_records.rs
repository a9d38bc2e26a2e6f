//! Records of topics as a consumer handles them one by one: markers, and its cursor or window behind them.

use std::collections::BTreeMap;

use messagekit::Error;
use messagekit::adapter::RetryLease;
use messagekit_topic_store::{no_record, record_has_failed};
use sqlx::{PgConnection, Row};

use super::cursors;
use super::retries;
use super::topics::Topic;
use crate::SchemaName;
use crate::error::from_sqlx;

/// Where the records of some ids stand.
pub(crate) const FIND_RECORDS: &str = r#"
SELECT r.id, r.tp_id, r."offset", r.event_id FROM unnest($2::bigint[]) w (id)
  CROSS JOIN LATERAL (
    SELECT * FROM messagekit.topic_records r WHERE r.topic_id = $1 AND r.id = w.id LIMIT 1) r"#;

/// Marks a record, also again, unless it is an open failed message or was discarded.
pub(crate) const MARK_HANDLED: &str = "
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, processed_at)
VALUES ($1, $2, messagekit.day_of($2), 'done', clock_timestamp())
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE SET processed_at = excluded.processed_at WHERE p.outcome = 'done'";

/// The offsets of a partition from one on that a consumer has handled one by one.
pub(crate) const HANDLED_BEHIND: &str = r#"
SELECT r."offset" FROM messagekit.topic_records r
  CROSS JOIN LATERAL (
    SELECT m.outcome FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m
WHERE r.tp_id = $2 AND r."offset" >= $3 AND m.outcome = 'done' ORDER BY r."offset""#;

/// Marks those records that have no marker, in the order of their ids, and returns them.
pub(crate) const MARK_NEW: &str = r#"
INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
SELECT $1, b.id, messagekit.day_of(b.id), 'done', clock_timestamp() FROM unnest($2::text[]) AS b (id) ORDER BY b.id COLLATE "C"
ON CONFLICT DO NOTHING RETURNING message_id"#;

/// The failed message of a record, if it may run.
pub(crate) const FAILED_RECORD: &str = "
SELECT f.id FROM messagekit.topic_records r
  CROSS JOIN LATERAL (
    SELECT f.id FROM messagekit.failed_messages f
    WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id AND f.origin = 'store'
      AND f.state IN ('retry_scheduled', 'retry_requested') LIMIT 1) f
WHERE r.topic_id = $2 AND r.id = $3";

/// A record of a topic.
struct Place {
    id: i64,
    tp: i32,
    offset: i64,
    event_id: String,
}

async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    ids: &[i64],
) -> Result<Vec<Place>, Error> {
    let rows = sqlx::query(schema.sql(FIND_RECORDS)).bind(topic.id).bind(ids).fetch_all(connection).await;
    let rows = rows.map_err(from_sqlx)?;
    let place = |row: &sqlx::postgres::PgRow| {
        Ok(Place {
            id: row.try_get(0)?,
            tp: row.try_get(1)?,
            offset: row.try_get(2)?,
            event_id: row.try_get(3)?,
        })
    };
    rows.iter().map(place).collect::<Result<_, sqlx::Error>>().map_err(from_sqlx)
}

/// Notes that a consumer has handled a record.
///
/// The cursor is held before the marker is written: of two that handle neighbours, the second sees what the first has done.
pub(crate) async fn set_handled(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &Topic,
    id: i64,
) -> Result<(), Error> {
    let name = &topic.definition.name;
    let place = find(connection, schema, topic, &[id]).await?.pop().ok_or_else(|| no_record(name, id))?;
    let held = cursors::hold(connection, schema, consumer, place.tp).await?;
    let mark = sqlx::query(schema.sql(MARK_HANDLED)).bind(consumer).bind(&place.event_id);
    if mark.execute(&mut *connection).await.map_err(from_sqlx)?.rows_affected() == 0 {
        return Err(record_has_failed(name, id));
    }
    cursors::settle(connection, schema, (consumer, place.tp), held, &[place.offset]).await
}

/// Marks those records as handled that the consumer has no marker of, and returns for each whether it was one.
pub(crate) async fn handle_new(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &Topic,
    ids: &[i64],
) -> Result<Vec<bool>, Error> {
    let places = find(connection, schema, topic, ids).await?;
    let mut held = BTreeMap::new();
    for tp in places.iter().map(|place| place.tp).collect::<std::collections::BTreeSet<_>>() {
        held.insert(tp, cursors::hold(connection, schema, consumer, tp).await?);
    }
    let event_ids: Vec<&str> = places.iter().map(|place| place.event_id.as_str()).collect();
    let mark = sqlx::query_scalar(schema.sql(MARK_NEW)).bind(consumer).bind(event_ids);
    let marked: Vec<String> = mark.fetch_all(&mut *connection).await.map_err(from_sqlx)?;
    let marked: std::collections::HashSet<String> = marked.into_iter().collect();
    // Of several records with one event the first is new.
    let mut seen = std::collections::HashSet::new();
    let new: std::collections::HashSet<i64> = places
        .iter()
        .filter(|place| marked.contains(&place.event_id) && seen.insert(place.event_id.as_str()))
        .map(|place| place.id)
        .collect();
    for (tp, held) in held {
        let own = places.iter().filter(|place| place.tp == tp && marked.contains(&place.event_id));
        let offsets: Vec<i64> = own.map(|place| place.offset).collect();
        cursors::settle(connection, schema, (consumer, tp), held, &offsets).await?;
    }
    Ok(ids.iter().map(|id| new.contains(id)).collect())
}

/// Returns the offsets of a partition from `next` on that a consumer has handled one by one, in their order.
pub(super) async fn behind(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (consumer, tp): (&str, i32),
    next: i64,
) -> Result<Vec<i64>, Error> {
    let handled = sqlx::query_scalar(schema.sql(HANDLED_BEHIND)).bind(consumer).bind(tp).bind(next);
    handled.fetch_all(connection).await.map_err(from_sqlx)
}

/// Leases the failed message of a record, due or not. The lease ends at once: a caller that works alone needs no time of its own, and a
/// process that dies leaves nothing to wait for.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &Topic,
    id: i64,
) -> Result<Option<RetryLease>, Error> {
    let find = sqlx::query_scalar(schema.sql(FAILED_RECORD)).bind(consumer).bind(topic.id).bind(id);
    let found: Option<i64> = find.fetch_optional(&mut *connection).await.map_err(from_sqlx)?;
    match found {
        Some(failed_message) => retries::lease_one(connection, schema, consumer, failed_message).await,
        None => Ok(None),
    }
}
