//! Operators' reads of kept events, before a replay.

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::Error;
use messagekit::cleanup::NOTED_WITHIN;
use messagekit::operations::{ConsumerEvents, EventCursor, EventFilter, EventHead, out_of_range};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use super::index_steps::names_of;
use super::{micros, operator_row};
use crate::SchemaName;
use crate::error::from_sqlx;

/// The condition on originals; [`filtered`] binds its parameters. Planned anew for each filter.
macro_rules! chosen {
    () => {
        "e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5)"
    };
}
pub(super) use chosen;

pub(crate) const EVENTS: &str = concat!(
    "SELECT e.event_id, e.event_type, e.topic, e.aggregate_id AS key, e.created_at, octet_length(e.payload)::bigint AS payload_bytes,
  (SELECT max(c.copy) FROM messagekit.outbox_events c WHERE c.event_id = e.event_id) AS copies
FROM messagekit.outbox_events e WHERE ",
    chosen!(),
    " AND ($6::timestamptz IS NULL OR (e.created_at >= $6 AND (e.created_at, e.event_id) > ($6, $7::text)))
ORDER BY e.created_at, e.event_id LIMIT $8"
);

pub(crate) const COUNT: &str = concat!("SELECT count(*) FROM messagekit.outbox_events e WHERE ", chosen!());

pub(crate) const SKIPPED_BY: &str = concat!(
    "WITH RECURSIVE ",
    names_of!("known", "processed_messages"),
    "
SELECT k.consumer, (SELECT count(*) FROM messagekit.outbox_events e
  JOIN messagekit.processed_messages p ON p.consumer = k.consumer AND p.message_id = e.event_id WHERE ",
    chosen!(),
    ") AS events
FROM known k WHERE k.consumer IS NOT NULL ORDER BY k.consumer"
);

/// Events older than the longest recently recorded window, or than the time since which the markers are complete.
pub(crate) const TOO_OLD_FOR: &str = concat!(
    "WITH windows AS MATERIALIZED (
  SELECT w.consumer, greatest(max(w.complete_since), now() - max(w.seconds) FILTER (WHERE w.noted_at > (
      SELECT max(n.noted_at) FROM messagekit.consumer_windows n WHERE n.consumer = w.consumer)
    - $6 * interval '1 microsecond') * interval '1 second') AS begin
  FROM messagekit.consumer_windows w GROUP BY w.consumer)
SELECT w.consumer, (SELECT count(*) FROM messagekit.outbox_events e WHERE e.created_at < w.begin AND ",
    chosen!(),
    ") AS events
FROM windows w ORDER BY w.consumer"
);

pub(crate) const REACHES: &str =
    "SELECT EXISTS (SELECT FROM messagekit.outbox_events WHERE copy = 0 AND created_at <= $1)";

pub(crate) const OLDEST: &str = "SELECT min(created_at) FROM messagekit.outbox_events WHERE copy = 0";

pub(super) fn filtered<'a>(
    schema: &SchemaName,
    text: &'static str,
    filter: &'a EventFilter,
) -> Query<'a, Postgres, PgArguments> {
    sqlx::query(schema.sql(text))
        .persistent(false)
        .bind(filter.event_type.as_deref())
        .bind(filter.topic.as_deref())
        .bind(filter.key.as_deref())
        .bind(filter.from.map(ToSqlx::to_sqlx))
        .bind(filter.to.map(ToSqlx::to_sqlx))
}

/// Returns events, oldest first.
pub(crate) async fn events(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
    after: Option<&EventCursor>,
    limit: u32,
) -> Result<Vec<EventHead>, Error> {
    let select = filtered(schema, EVENTS, filter)
        .bind(after.map(|cursor| cursor.created_at.to_sqlx()))
        .bind(after.map(|cursor| cursor.event_id.as_str()))
        .bind(i64::from(limit));
    operator_row::list(connection, select).await
}

/// Refuses a range that begins before the oldest event.
pub(crate) async fn check_range(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
) -> Result<(), Error> {
    let Some(from) = filter.from else { return Ok(()) };
    let reaches = sqlx::query_scalar(schema.sql(REACHES)).persistent(false).bind(from.to_sqlx());
    if reaches.fetch_one(&mut *connection).await.map_err(from_sqlx)? {
        return Ok(());
    }
    let oldest = sqlx::query_scalar(schema.sql(OLDEST)).persistent(false);
    let oldest: Option<Timestamp> = oldest.fetch_one(connection).await.map_err(from_sqlx)?;
    let Some(oldest) = oldest.map(Timestamp::to_jiff) else { return Ok(()) };
    Err(out_of_range(oldest))
}

/// Counts the events of a filter.
pub(crate) async fn count(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
) -> Result<u64, Error> {
    let row = filtered(schema, COUNT, filter).fetch_one(connection).await.map_err(from_sqlx)?;
    row.try_get(0).map(i64::unsigned_abs).map_err(from_sqlx)
}

/// Counts for each consumer the events it has a marker of.
pub(crate) async fn skipped_by(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
) -> Result<Vec<ConsumerEvents>, Error> {
    by_consumer(filtered(schema, SKIPPED_BY, filter), connection).await
}

/// Counts for each consumer the events that it would set aside because of their age.
pub(crate) async fn too_old_for(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
) -> Result<Vec<ConsumerEvents>, Error> {
    by_consumer(filtered(schema, TOO_OLD_FOR, filter).bind(micros(NOTED_WITHIN)), connection).await
}

async fn by_consumer(
    select: Query<'_, Postgres, PgArguments>,
    connection: &mut PgConnection,
) -> Result<Vec<ConsumerEvents>, Error> {
    let all: Vec<ConsumerEvents> = operator_row::list(connection, select).await?;
    Ok(all.into_iter().filter(|counted| counted.events > 0).collect())
}
