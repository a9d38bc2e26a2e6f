//! Kept events, and the jobs that publish them again.
//!
//! A job's events are chosen once and numbered from 1; a step takes the numbers behind the job's position. So no statement
//! has to look for where it was, however many events are left.

use std::time::Duration;

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::{
    Error, ErrorKind, EventCursor, EventFilter, Message, MessageId, ReplayIds, ReplayJob, ReplayOrder,
    ReplayState, StoredEvent, headers, out_of_range,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{PgConnection, Postgres, Row};

use super::{clean, micros};
use crate::SchemaName;
use crate::error::{from_sqlx, of};

/// The condition on originals; [`filtered`] binds its parameters. Planned for each filter anew.
macro_rules! chosen {
    () => {
        "e.copy = 0 AND ($1::text IS NULL OR e.event_type = $1) AND ($2::text IS NULL OR e.topic = $2)
  AND ($3::text IS NULL OR e.aggregate_id = $3)
  AND ($4::timestamptz IS NULL OR e.created_at >= $4) AND ($5::timestamptz IS NULL OR e.created_at <= $5)"
    };
}

pub(crate) const EVENTS: &str = concat!(
    "SELECT e.event_id, e.topic, e.event_type, e.aggregate_id, e.payload, e.content_type, e.headers::text AS headers,
  e.traceparent, e.created_at,
  (SELECT max(c.copy) FROM messagekit.outbox_events c WHERE c.event_id = e.event_id) AS copies
FROM messagekit.outbox_events e WHERE ",
    chosen!(),
    " AND ($6::timestamptz IS NULL OR (e.created_at >= $6 AND (e.created_at, e.event_id) > ($6, $7::text)))
ORDER BY e.created_at, e.event_id LIMIT $8"
);

pub(crate) const COUNT: &str = concat!("SELECT count(*) FROM messagekit.outbox_events e WHERE ", chosen!());

/// The names of the consumers are found one by one, each by a look into the index.
pub(crate) const SKIPPED_BY: &str = concat!(
    "WITH RECURSIVE known (consumer) AS (
  (SELECT consumer FROM messagekit.processed_messages ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT p.consumer FROM messagekit.processed_messages p WHERE p.consumer > k.consumer ORDER BY p.consumer LIMIT 1)
  FROM known k WHERE k.consumer IS NOT NULL)
SELECT k.consumer, (SELECT count(*) FROM messagekit.outbox_events e
  JOIN messagekit.processed_messages p ON p.consumer = k.consumer AND p.message_id = e.event_id WHERE ",
    chosen!(),
    ") AS events
FROM known k WHERE k.consumer IS NOT NULL ORDER BY k.consumer"
);

pub(crate) const REACHES: &str =
    "SELECT EXISTS (SELECT FROM messagekit.outbox_events WHERE copy = 0 AND created_at <= $1)";

pub(crate) const OLDEST: &str = "SELECT min(created_at) FROM messagekit.outbox_events WHERE copy = 0";

pub(crate) const ORDER: &str = r#"
INSERT INTO messagekit.replay_jobs (event_type, topic, key, "from", until, ids, per_second, state, ordered_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8) RETURNING id"#;

/// As they were written, not by their time: a key keeps its order although the clock was set back.
pub(crate) const CHOOSE: &str = concat!(
    "INSERT INTO messagekit.replay_items (job, n, event_id)
SELECT $6, row_number() OVER (ORDER BY e.seq), e.event_id FROM messagekit.outbox_events e WHERE ",
    chosen!()
);

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

/// Holds the job until the step has ended: whoever leases or cancels it waits, or passes it over.
pub(crate) const HOLD: &str = "
SELECT * FROM messagekit.replay_jobs WHERE id = $1 AND epoch = $2 AND state = 'running' FOR UPDATE";

/// The newest copy is what the original is; created_at stays, because it is the time that every hop passes on.
pub(crate) const COPY: &str = "
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id),
written AS (
  INSERT INTO messagekit.outbox_events (event_id, copy, topic, event_type, aggregate_type, aggregate_id, payload,
    content_type, headers, traceparent, occurred_at, created_at)
  SELECT e.event_id, e.copy + 1, e.topic, e.event_type, e.aggregate_type, e.aggregate_id, e.payload,
    e.content_type, e.headers, e.traceparent, e.occurred_at, e.created_at
  FROM taken t CROSS JOIN LATERAL (
    SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
  ORDER BY t.n RETURNING 1),
noted AS (
  INSERT INTO messagekit.outbox_copies (job, at, copies)
  SELECT $1, clock_timestamp(), count(*) FROM written HAVING count(*) > 0)
SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM written)";

/// Events that are not kept any more do not come back.
pub(crate) const TAKE: &str = "
WITH taken AS (
  DELETE FROM messagekit.replay_items WHERE job = $1 AND n > $2 AND n <= $3 RETURNING n, event_id)
SELECT e.event_id, e.topic, e.event_type, e.aggregate_id, e.payload, e.content_type, e.headers::text AS headers,
  e.traceparent, e.created_at, e.copy AS copies
FROM taken t CROSS JOIN LATERAL (
  SELECT * FROM messagekit.outbox_events o WHERE o.event_id = t.event_id ORDER BY o.copy DESC LIMIT 1) e
ORDER BY t.n";

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

pub(crate) const FORGET: &str = "DELETE FROM messagekit.replay_items WHERE job = $1";

fn filtered<'a>(
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
) -> Result<Vec<StoredEvent>, Error> {
    let select = filtered(schema, EVENTS, filter)
        .bind(after.map(|cursor| cursor.created_at.to_sqlx()))
        .bind(after.map(|cursor| cursor.event_id.as_str()))
        .bind(i64::from(limit));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(event_of).collect()
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
) -> Result<Vec<(String, u64)>, Error> {
    let rows = filtered(schema, SKIPPED_BY, filter).fetch_all(connection).await.map_err(from_sqlx)?;
    let read = |row: &PgRow| Ok((row.try_get(0)?, row.try_get::<i64, _>(1)?.unsigned_abs()));
    let all: Vec<(String, u64)> = rows.iter().map(read).collect::<sqlx::Result<_>>().map_err(from_sqlx)?;
    Ok(all.into_iter().filter(|(_, events)| *events > 0).collect())
}

/// Writes down a job and the list of its events.
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
    let choose = filtered(schema, CHOOSE, filter).bind(job);
    let events = choose.execute(&mut *connection).await.map_err(from_sqlx)?.rows_affected();
    let update = sqlx::query(schema.sql(CHOSEN)).bind(job).bind(events.cast_signed());
    job_of(&update.fetch_one(connection).await.map_err(from_sqlx)?)
}

/// Returns a job, if there is one.
pub(crate) async fn replay(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<Option<ReplayJob>, Error> {
    let select = sqlx::query(schema.sql(REPLAY)).bind(id);
    select.fetch_optional(connection).await.map_err(from_sqlx)?.as_ref().map(job_of).transpose()
}

/// Returns jobs, newest first.
pub(crate) async fn replays(
    connection: &mut PgConnection,
    schema: &SchemaName,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<ReplayJob>, Error> {
    let select = sqlx::query(schema.sql(REPLAYS)).bind(before.unwrap_or(i64::MAX)).bind(i64::from(limit));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(job_of).collect()
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
        forget(connection, schema, id).await?;
    }
    Ok(cancelled)
}

/// Takes the oldest running job that nobody works on.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    lease: Duration,
) -> Result<Option<(i64, ReplayJob)>, Error> {
    let update = sqlx::query(schema.sql(LEASE_REPLAY)).bind(micros(lease));
    let Some(row) = update.fetch_optional(connection).await.map_err(from_sqlx)? else { return Ok(None) };
    Ok(Some((row.try_get("epoch").map_err(from_sqlx)?, job_of(&row)?)))
}

/// Locks a job that is still held by this epoch, and returns it with the number of the last item that was taken.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
    epoch: i64,
) -> Result<Option<(ReplayJob, i64)>, Error> {
    let select = sqlx::query(schema.sql(HOLD)).bind(id).bind(epoch);
    let Some(row) = select.fetch_optional(connection).await.map_err(from_sqlx)? else { return Ok(None) };
    Ok(Some((job_of(&row)?, row.try_get("position").map_err(from_sqlx)?)))
}

/// The items of a job from behind one number up to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Items {
    pub(crate) job: i64,
    pub(crate) behind: i64,
    pub(crate) upto: i64,
}

/// Writes copies of events that are still kept, and returns how many that were.
pub(crate) async fn copy(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
) -> Result<i64, Error> {
    let write = sqlx::query(schema.sql(COPY)).bind(items.job).bind(items.behind).bind(items.upto);
    let row = write.fetch_one(connection).await.map_err(|error| match of(&error) {
        // Another job has copied the same event a moment before: the next try counts on from its copy.
        Some(answer) if answer.code() == "23505" => {
            Error::new(ErrorKind::Conflict, "another replay is publishing the same event").caused_by(error)
        }
        _ => from_sqlx(error),
    })?;
    row.try_get(1).map_err(from_sqlx)
}

/// Takes events that are still kept from the list, and returns them in order.
pub(crate) async fn take(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
) -> Result<Vec<StoredEvent>, Error> {
    let take = sqlx::query(schema.sql(TAKE)).bind(items.job).bind(items.behind).bind(items.upto);
    take.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(event_of).collect()
}

/// Notes how far a job has come, and returns it.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    schema: &SchemaName,
    items: Items,
    published: i64,
    extend: Duration,
) -> Result<ReplayJob, Error> {
    let update =
        sqlx::query(schema.sql(MOVE)).bind(items.job).bind(items.upto).bind(published).bind(micros(extend));
    job_of(&update.fetch_one(connection).await.map_err(from_sqlx)?)
}

/// Ends a job that cannot go on, if it is still held by this epoch.
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
    forget(connection, schema, id).await?;
    job_of(&row).map(Some)
}

async fn forget(connection: &mut PgConnection, schema: &SchemaName, job: i64) -> Result<(), Error> {
    sqlx::query(schema.sql(FORGET)).bind(job).execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Reads an event as the connector does: each column becomes the header of its name, and null is no header.
fn event_of(row: &PgRow) -> Result<StoredEvent, Error> {
    let read = || {
        let mut message =
            Message::new(row.try_get::<&str, _>("topic")?, row.try_get::<Vec<u8>, _>("payload")?);
        message.key = row.try_get::<Option<String>, _>("aggregate_id")?.map(Into::into);
        let created_at = row.try_get::<Timestamp, _>("created_at")?.to_jiff();
        for (name, column) in [
            (headers::ID, "event_id"),
            (headers::EVENT_TYPE, "event_type"),
            (headers::CONTENT_TYPE, "content_type"),
            (headers::TRACEPARENT, "traceparent"),
            (headers::FREE_HEADERS, "headers"),
        ] {
            if let Some(value) = row.try_get::<Option<String>, _>(column)? {
                message.headers.set(name, value);
            }
        }
        message.headers.set(headers::CREATED_AT, created_at.to_string());
        Ok(StoredEvent {
            event_id: MessageId::from_stored(row.try_get("event_id")?),
            copies: row.try_get::<i32, _>("copies")?.unsigned_abs(),
            created_at,
            message,
        })
    };
    read().map_err(from_sqlx)
}

fn job_of(row: &PgRow) -> Result<ReplayJob, Error> {
    let word = |column: &str| row.try_get::<&str, _>(column).map_err(from_sqlx);
    let (ids, state) = (word("ids")?, word("state")?);
    let unknown = |column: &str| {
        Error::new(ErrorKind::Corrupt, format!("stored replay has an unknown value in {column}"))
    };
    let ids = [ReplayIds::Same, ReplayIds::New].into_iter().find(|known| known.as_str() == ids);
    let state = ReplayState::ALL.into_iter().find(|known| known.as_str() == state);
    let (ids, state) = (ids.ok_or_else(|| unknown("ids"))?, state.ok_or_else(|| unknown("state"))?);
    let read = || {
        let time = |column: &str| {
            row.try_get::<Option<Timestamp>, _>(column).map(|time| time.map(Timestamp::to_jiff))
        };
        let count = |column: &str| row.try_get::<i64, _>(column).map(i64::unsigned_abs);
        let per_second: Option<i64> = row.try_get("per_second")?;
        Ok(ReplayJob {
            id: row.try_get("id")?,
            order: ReplayOrder {
                filter: EventFilter {
                    event_type: row.try_get("event_type")?,
                    topic: row.try_get("topic")?,
                    key: row.try_get("key")?,
                    from: time("from")?,
                    to: time("until")?,
                },
                ids,
                per_second: per_second.map(|rate| u32::try_from(rate).unwrap_or(u32::MAX)),
            },
            state,
            events: count("events")?,
            published: count("published")?,
            ordered_by: row.try_get("ordered_by")?,
            ordered_at: row.try_get::<Timestamp, _>("ordered_at")?.to_jiff(),
            changed_at: row.try_get::<Timestamp, _>("changed_at")?.to_jiff(),
            error: row.try_get("error")?,
        })
    };
    read().map_err(from_sqlx)
}
