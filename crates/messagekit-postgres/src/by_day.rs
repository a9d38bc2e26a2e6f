//! Dividing events and markers by the day of their ids, so that a whole day is removed at once.
//!
//! The days stand on a wheel of 32: a table's parts are made once, none has to be made in time for a day to come, and a day that
//! is over is emptied in place. The day is that of the id, a UUID of version 7, and not that of the row or of the message's
//! `createdAt`: an id stays the same in every copy, so a second one meets the marker of the first. Ids that tell no day share a
//! part of their own, which is cleaned row by row as before.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::time::Instant;

use crate::SchemaName;
use crate::migrations::link::fault;
use crate::switch::{PAUSE, begin, busy, end, is_late, limit_locks};

const DIVIDE: &str = include_str!("by_day.sql");

/// Also from reading: rows must not be seen twice, or not at all.
const STOP: &str = "
LOCK TABLE messagekit.outbox_events, messagekit.processed_messages IN ACCESS EXCLUSIVE MODE";

const IS_DIVIDED: &str =
    "SELECT relkind = 'p' FROM pg_class WHERE oid = 'messagekit.outbox_events'::regclass";

/// What somebody has made upon the tables, which would stay with the part that they become.
const LEFT_BEHIND: &str = "
WITH ours AS (SELECT unnest(ARRAY['messagekit.outbox_events', 'messagekit.processed_messages'])::regclass AS id)
SELECT DISTINCT 'view ' || w.ev_class::regclass FROM pg_depend d
  JOIN pg_rewrite w ON d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid AND w.ev_class <> d.refobjid
  JOIN ours ON d.refclassid = 'pg_class'::regclass AND d.refobjid = ours.id
UNION ALL SELECT format('trigger %I', t.tgname) FROM pg_trigger t JOIN ours ON ours.id = t.tgrelid
  WHERE NOT t.tgisinternal AND t.tgname <> 'outbox_is_pending'
UNION ALL SELECT format('index %s', i.indexrelid::regclass) FROM pg_index i JOIN ours ON ours.id = i.indrelid
  JOIN pg_class c ON c.oid = i.indexrelid
  WHERE c.relname NOT IN ('outbox_events_pkey', 'outbox_events_created', 'processed_messages_pkey')
UNION ALL SELECT format('foreign key %I of %s', k.conname, k.conrelid::regclass) FROM pg_constraint k JOIN ours ON ours.id = k.confrelid
UNION ALL SELECT format('row security of %s', c.oid::regclass) FROM pg_class c JOIN ours ON ours.id = c.oid WHERE c.relrowsecurity
UNION ALL SELECT format('rights on column %I', a.attname) FROM pg_attribute a JOIN ours ON ours.id = a.attrelid
  WHERE a.attacl IS NOT NULL
UNION ALL SELECT format('publication %I, which names parts instead of the whole', p.pubname)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN ours ON ours.id = r.prrelid WHERE NOT p.pubviaroot
ORDER BY 1";

/// The first day of which there is no id, counted from 1970; and whether that is a day to come.
const FIRST_DAY: &str = "
SELECT coalesce(max(('x' || substr(i.id, 1, 8) || substr(i.id, 10, 4))::bit(48)::bigint / 86400000) + 1, 0),
  coalesce(max(('x' || substr(i.id, 1, 8) || substr(i.id, 10, 4))::bit(48)::bigint) / 86400000
    > extract(epoch FROM now())::bigint / 86400 + 1, false)
FROM (
  SELECT event_id AS id FROM messagekit.outbox_events
  UNION ALL SELECT message_id FROM messagekit.processed_messages) i
WHERE i.id ~ '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$'";

/// Divides the tables of events and markers by day, and returns what this call has done. Twice is once.
///
/// Afterwards `messagekit cleanup` removes a day by emptying its part: no row is read or written for it, and nothing is left to
/// vacuum. Nothing is moved: what is there stays a part of its own, and from the day after the newest id each event and marker
/// stands in the part of its day. Whoever writes, reads or captures the tables goes on by their names; rights, the relay's
/// trigger and the publication come along.
///
/// Whoever uses the tables waits while they are looked through once: about 2 µs a row. Programs of this version or later may
/// run on; older consumers must be gone, and are refused by the server afterwards.
///
/// # Errors
/// [`ErrorKind::WrongState`] when views, triggers, indexes or the like of your own hang on the tables (drop them, and make them
/// again afterwards), or when an id says a day beyond tomorrow; [`ErrorKind::Conflict`] when open transactions leave no moment
/// within `limit`, or another process is switching; [`ErrorKind::Other`] when the user does not own the tables. Else as
/// [`migrations::migrate`](crate::migrations::migrate); [`ErrorKind::Schema`] when that has not been run.
///
/// # Cancel safety
/// All of it or nothing.
pub async fn divide(url: &str, schema: &SchemaName, limit: Duration) -> Result<Vec<String>, crate::Error> {
    let mut conn = begin(url, schema).await?;
    let done = run(&mut conn, schema, limit).await;
    end(conn).await;
    Ok(done?)
}

async fn run(conn: &mut PgConnection, schema: &SchemaName, limit: Duration) -> Result<Vec<String>, Error> {
    let is_divided = sqlx::query_scalar(schema.sql(IS_DIVIDED)).persistent(false);
    if is_divided.fetch_one(&mut *conn).await.map_err(fault)? {
        return Ok(Vec::new());
    }
    let until = Instant::now() + limit;
    while !attempt(conn, schema).await? {
        if Instant::now() > until {
            return Err(busy(schema, limit));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(vec!["events and markers are divided by day".to_owned()])
}

/// Returns false when the tables could not be had in time.
async fn attempt(conn: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let mut tx = conn.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await.map_err(fault)?;
    limit_locks(&mut tx).await?;
    match tx.execute(sqlx::raw_sql(schema.sql(STOP))).await {
        Ok(_) => {}
        Err(error) if is_late(&error) => return tx.rollback().await.map(|()| false).map_err(fault),
        Err(error) => return Err(fault(error)),
    }
    let left_behind = sqlx::query_scalar(schema.sql(LEFT_BEHIND)).persistent(false);
    let left_behind: Vec<String> = left_behind.fetch_all(&mut *tx).await.map_err(fault)?;
    if !left_behind.is_empty() {
        let text = format!(
            "tables have what would stay behind with their old rows: {}; drop it, divide, and make it again",
            left_behind.join(", ")
        );
        return Err(Error::new(ErrorKind::WrongState, text).with("schema", schema));
    }
    let first_day = sqlx::query_as(schema.sql(FIRST_DAY)).persistent(false);
    let (first_day, is_ahead): (i64, bool) = first_day.fetch_one(&mut *tx).await.map_err(fault)?;
    if is_ahead {
        let text = "an id of an event or a marker says a day beyond tomorrow: see that the clocks of writers are right, \
                    and try again when that day has come or its rows are gone";
        return Err(Error::new(ErrorKind::WrongState, text).with("days_since_1970", first_day - 1));
    }
    let told = AssertSqlSafe(format!("SELECT set_config('{schema}.first_day', '{first_day}', true)"));
    tx.execute(sqlx::raw_sql(told)).await.map_err(fault)?;
    match tx.execute(sqlx::raw_sql(schema.sql(DIVIDE))).await {
        Ok(_) => tx.commit().await.map(|()| true).map_err(fault),
        Err(error) if is_late(&error) => tx.rollback().await.map(|()| false).map_err(fault),
        Err(error) => Err(fault(error)),
    }
}
