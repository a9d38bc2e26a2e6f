//! The lists of events that replays publish.
//!
//! A job's events are chosen once and numbered from 1. A step takes the numbers after the job's position, so no statement
//! has to search for that position, however many events are left.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use messagekit::adapter::{EventLinks, OperatorRow};
use messagekit::operations::{EventFilter, StoredEvent};
use messagekit::{Error, ErrorKind, Message, headers};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::event_record::headers_of;
use super::operator_row::PgColumns;
use super::stored_events::{chosen, filtered};
use crate::SchemaName;
use crate::error::{from_sqlx, of};

/// In the order of writing, not of time: a key keeps its order although the clock was set back.
pub(crate) const CHOOSE: &str = concat!(
    "INSERT INTO messagekit.replay_items (job, n, event_id)
SELECT $6, row_number() OVER (ORDER BY e.seq), e.event_id FROM messagekit.outbox_events e WHERE ",
    chosen!()
);

/// Copies the newest copy, which equals the original. created_at stays, because every hop passes that time on.
pub(crate) const COPY: &str = "
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id),
written AS (
  INSERT INTO messagekit.outbox_events (event_id, copy, topic, event_type, aggregate_id, payload,
    content_type, headers, traceparent, occurred_at, created_at)
  SELECT e.event_id, e.copy + 1, e.topic, e.event_type, e.aggregate_id, e.payload,
    e.content_type, e.headers, e.traceparent, e.occurred_at, e.created_at
  FROM taken t CROSS JOIN LATERAL (
    SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
  ORDER BY t.n RETURNING 1),
noted AS (
  INSERT INTO messagekit.outbox_copies (job, at, copies)
  SELECT $1, clock_timestamp(), count(*) FROM written HAVING count(*) > 0)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM written)";

/// Skips events that are no longer kept.
pub(crate) const TAKE: &str = "
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id)
SELECT e.event_id, e.topic, e.event_type, e.aggregate_id, e.payload, e.content_type, e.headers::text AS headers,
  e.traceparent, e.created_at, e.copy AS copies, l.correlation_id, l.causation_id, l.replay_of
FROM taken t CROSS JOIN LATERAL (
  SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
LEFT JOIN LATERAL (
  SELECT * FROM messagekit.outbox_links k WHERE k.event_id = t.event_id OFFSET 0) l ON true
ORDER BY t.n";

pub(crate) const FORGET: &str = "DELETE FROM messagekit.replay_items WHERE job = $1";

/// The items of a job after one number, up to and including another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    pub(crate) job: i64,
    pub(crate) behind: i64,
    pub(crate) upto: i64,
}

/// Stores the list of a job, and returns its length.
pub(super) async fn choose(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
    job: i64,
) -> Result<u64, Error> {
    let choose = filtered(schema, CHOOSE, filter).bind(job);
    Ok(choose.execute(connection).await.map_err(from_sqlx)?.rows_affected())
}

/// Writes copies of events that are still kept, and returns their number.
pub(crate) async fn copy(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
) -> Result<i64, Error> {
    let write = sqlx::query(schema.sql(COPY)).bind(items.job).bind(items.behind).bind(items.upto);
    let row = write.fetch_one(connection).await.map_err(|error| match of(&error) {
        // Another job has just copied the same event: the next attempt continues from its copy.
        Some(answer) if answer.code() == "23505" => {
            Error::new(ErrorKind::Conflict, "another replay is publishing the same event").caused_by(error)
        }
        _ => from_sqlx(error),
    })?;
    row.try_get(1).map_err(from_sqlx)
}

/// Takes events that are still kept from the list, and returns them in order, with their links.
pub(crate) async fn take(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
) -> Result<Vec<(StoredEvent, EventLinks)>, Error> {
    let take = sqlx::query(schema.sql(TAKE)).bind(items.job).bind(items.behind).bind(items.upto);
    take.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(event_of).collect()
}

/// Deletes the rest of a list.
pub(super) async fn forget(
    connection: &mut PgConnection,
    schema: &SchemaName,
    job: i64,
) -> Result<(), Error> {
    sqlx::query(schema.sql(FORGET)).bind(job).execute(connection).await.map(drop).map_err(from_sqlx)
}

fn event_of(row: &PgRow) -> Result<(StoredEvent, EventLinks), Error> {
    let row = PgColumns::of(row);
    let mut message = Message::new(row.get::<Arc<str>>("topic")?, row.get::<Bytes>("payload")?);
    message.key = row.get("aggregate_id")?;
    message.headers = headers_of(&row)?;
    let created_at: Timestamp = row.get("created_at")?;
    message.headers.set(headers::CREATED_AT, created_at.to_string());
    let (event_id, copies) = (row.get("event_id")?, row.get("copies")?);
    Ok((StoredEvent { event_id, copies, created_at, message }, row.read()?))
}
