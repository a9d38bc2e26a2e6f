//! Dividing events and markers by the day of their ids, so that a whole day is removed at once.
//!
//! The days stand on a wheel of 32: a table's parts are made once, none has to be made in time for a day to come, and a day that
//! is over is emptied in place. The day is that of the id, a UUID of version 7, and not that of the row or of the message's
//! `createdAt`: an id stays the same in every copy, so a second one meets the marker of the first. Ids that tell no day share a
//! part of their own, which is cleaned row by row as before.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::Instant;

use crate::SchemaName;
use crate::migrations::link::{code, fault};
use crate::publishing_mode::{LOCK_WAIT, PAUSE, begin, busy, end, is_late, stop};
use crate::tables::days::IS_DIVIDED;

const DIVIDE: &str = include_str!("partitioning.sql");

/// Also from reading: rows must not be seen twice, or not at all. In the order in which a consumer uses them that writes events.
const STOP: &str = "
LOCK TABLE messagekit.processed_messages, messagekit.outbox_events IN ACCESS EXCLUSIVE MODE";

/// Whose work this is, where it is not this user's.
const OF_OTHERS: &str = "
WITH ours AS (SELECT unnest(ARRAY['messagekit.outbox_events', 'messagekit.processed_messages'])::regclass AS id)
SELECT format('table %s of %s', c.oid::regclass, c.relowner::regrole) FROM pg_class c JOIN ours ON ours.id = c.oid
  WHERE NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL SELECT DISTINCT format('publication %I of %s', p.pubname, p.pubowner::regrole)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN ours ON ours.id = r.prrelid
  WHERE NOT pg_has_role(p.pubowner, 'USAGE')
ORDER BY 1";

/// What somebody has made upon the tables, which would stay with the part that they become.
const LEFT_BEHIND: &str = "
WITH ours AS (SELECT unnest(ARRAY['messagekit.outbox_events', 'messagekit.processed_messages'])::regclass AS id)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
  JOIN ours ON d.refclassid = 'pg_class'::regclass AND d.refobjid = ours.id
  WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass)
UNION ALL SELECT format('trigger %I', t.tgname) FROM pg_trigger t JOIN ours ON ours.id = t.tgrelid
  WHERE NOT t.tgisinternal AND t.tgname NOT IN ('outbox_is_pending', 'outbox_refuses_delay')
UNION ALL SELECT format('index %s', i.indexrelid::regclass) FROM pg_index i JOIN ours ON ours.id = i.indrelid
  JOIN pg_class c ON c.oid = i.indexrelid
  WHERE c.relname NOT IN
    ('outbox_events_pkey', 'outbox_events_created', 'processed_messages_pkey', 'processed_messages_other_pkey')
UNION ALL SELECT format('foreign key %I of %s', k.conname, k.conrelid::regclass) FROM pg_constraint k JOIN ours ON ours.id = k.confrelid
UNION ALL SELECT format('row security of %s', c.oid::regclass) FROM pg_class c JOIN ours ON ours.id = c.oid WHERE c.relrowsecurity
UNION ALL SELECT format('rights on column %I', a.attname) FROM pg_attribute a JOIN ours ON ours.id = a.attrelid
  WHERE a.attacl IS NOT NULL
UNION ALL SELECT format('publication %I, which would name parts instead of the whole', p.pubname)
  FROM pg_publication p JOIN pg_publication_tables t ON t.pubname = p.pubname
    JOIN ours ON ours.id = format('%I.%I', t.schemaname, t.tablename)::regclass WHERE NOT p.pubviaroot
UNION ALL SELECT format('filter of publication %I', p.pubname)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN ours ON ours.id = r.prrelid
  WHERE to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL
ORDER BY 1";

const INDEX: &str = "
SELECT i.indisvalid FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE i.indrelid = 'messagekit.processed_messages'::regclass AND c.relname = 'processed_messages_other_pkey'";

/// Beside everybody's work, which takes as long as it takes.
const MAKE_INDEX: &str = "
CREATE UNIQUE INDEX CONCURRENTLY processed_messages_other_pkey ON messagekit.processed_messages (consumer, message_id, day)";

const DROP_INDEX: &str = "DROP INDEX CONCURRENTLY messagekit.processed_messages_other_pkey";

/// All markers of a whole table are of day -1; said so that nobody has to look again while the table is locked.
const WHOLE: [&str; 3] = [
    "ALTER TABLE messagekit.processed_messages DROP CONSTRAINT IF EXISTS processed_messages_whole",
    "ALTER TABLE messagekit.processed_messages ADD CONSTRAINT processed_messages_whole CHECK (day = -1) NOT VALID",
    "ALTER TABLE messagekit.processed_messages VALIDATE CONSTRAINT processed_messages_whole",
];

/// The first day of the wheel, counted from 1970: the day after tomorrow, so that no clock that is a little ahead has used it; 0
/// where there is no id yet.
const FIRST_DAY: &str = "
SELECT CASE WHEN EXISTS (SELECT FROM messagekit.outbox_events) OR EXISTS (SELECT FROM messagekit.processed_messages)
  THEN extract(epoch FROM clock_timestamp())::bigint / 86400 + 2 ELSE 0 END";

/// Divides the tables of events and markers by day, and returns what this call has done. Twice is once.
///
/// Afterwards `messagekit cleanup` removes a day by emptying its part: no row is read or written for it, and nothing is left to
/// vacuum. What is there stays a part of its own, and from the day after tomorrow each event and marker stands in the part of its
/// day; only the markers of ids that say such a day already are moved to it. Writers, readers and captures go on by the names of
/// the tables; rights, the relay's trigger and the publication come along.
///
/// Programs may run on. An index of the markers is built beside their work first. Then they wait while all events are looked at
/// once, about 4 s for a million, and the markers whose ids are UUIDs of other versions, about 3 s for a million.
///
/// # Errors
/// [`ErrorKind::WrongState`] when views, triggers, indexes or the like of your own hang on the tables (drop them, and make them
/// again afterwards), or when an id says a day after tomorrow; [`ErrorKind::Conflict`] when open transactions leave no moment
/// within `limit`, or another process is switching; [`ErrorKind::Other`] when tables or publication belong to somebody else.
/// Else as [`migrations::migrate`](crate::migrations::migrate); [`ErrorKind::Schema`] when that has not been run.
///
/// # Cancel safety
/// All of it or nothing, but for an index and a constraint that are used by the next call.
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
    refuse(conn, schema).await?;
    let until = Instant::now() + limit;
    prepare(conn, schema, until, limit).await?;
    while !attempt(conn, schema).await? {
        if Instant::now() > until {
            return Err(busy(schema, limit));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(vec!["events and markers are divided by day".to_owned()])
}

/// Refuses before anything is made.
async fn refuse(conn: &mut PgConnection, schema: &SchemaName) -> Result<(), Error> {
    let of_others: Vec<String> = list(conn, schema, OF_OTHERS).await?;
    if !of_others.is_empty() {
        let text = format!(
            "this user may not divide {}: their owner, or a superuser, has to do it",
            of_others.join(", ")
        );
        return Err(Error::new(ErrorKind::Other, text).with("schema", schema));
    }
    let left_behind: Vec<String> = list(conn, schema, LEFT_BEHIND).await?;
    if !left_behind.is_empty() {
        let text = format!(
            "tables have what would stay behind with their old rows: {}; drop it, divide, and make it again",
            left_behind.join(", ")
        );
        return Err(Error::new(ErrorKind::WrongState, text).with("schema", schema));
    }
    Ok(())
}

async fn list(conn: &mut PgConnection, schema: &SchemaName, sql: &'static str) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(schema.sql(sql)).persistent(false).fetch_all(conn).await.map_err(fault)
}

/// Makes, beside everybody's work, what takes long.
async fn prepare(
    conn: &mut PgConnection,
    schema: &SchemaName,
    until: Instant,
    limit: Duration,
) -> Result<(), Error> {
    conn.execute("SET statement_timeout = 0").await.map_err(fault)?;
    let index = sqlx::query_scalar(schema.sql(INDEX)).persistent(false);
    let is_valid: Option<bool> = index.fetch_optional(&mut *conn).await.map_err(fault)?;
    // It waits for transactions that are older, and nobody waits for it.
    wait_for_locks(conn, limit).await?;
    let make_index = match is_valid {
        Some(true) => &[][..],
        // Its building was cut off.
        Some(false) => &[DROP_INDEX, MAKE_INDEX],
        None => &[MAKE_INDEX],
    };
    for statement in make_index {
        match conn.execute(sqlx::raw_sql(schema.sql(*statement))).await {
            Ok(_) => {}
            Err(error) if is_late(&error) => return Err(busy(schema, limit)),
            Err(error) => return Err(fault(error)),
        }
    }
    // One by one, so that the look at all rows holds no lock that a writer needs.
    wait_for_locks(conn, LOCK_WAIT).await?;
    for statement in WHOLE {
        loop {
            match conn.execute(sqlx::raw_sql(schema.sql(statement))).await {
                Ok(_) => break,
                Err(error) if is_late(&error) && Instant::now() < until => tokio::time::sleep(PAUSE).await,
                Err(error) if is_late(&error) => return Err(busy(schema, limit)),
                Err(error) => return Err(fault(error)),
            }
        }
    }
    Ok(())
}

async fn wait_for_locks(conn: &mut PgConnection, limit: Duration) -> Result<(), Error> {
    // Zero would be without an end.
    let set = AssertSqlSafe(format!("SET lock_timeout = {}", limit.as_millis().max(1)));
    conn.execute(sqlx::raw_sql(set)).await.map(drop).map_err(fault)
}

/// Returns false when the tables could not be had in time.
async fn attempt(conn: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let Some(mut tx) = stop(conn, schema, STOP).await? else { return Ok(false) };
    // Somebody may have made something meanwhile.
    refuse(&mut tx, schema).await?;
    let first_day = sqlx::query_scalar(schema.sql(FIRST_DAY)).persistent(false);
    let first_day: i64 = first_day.fetch_one(&mut *tx).await.map_err(fault)?;
    let told =
        AssertSqlSafe(format!("SELECT set_config('messagekit_by_day.first_day', '{first_day}', true)"));
    tx.execute(sqlx::raw_sql(told)).await.map_err(fault)?;
    match tx.execute(sqlx::raw_sql(schema.sql(DIVIDE))).await {
        Ok(_) => tx.commit().await.map(|()| true).map_err(fault),
        Err(error) if is_late(&error) => tx.rollback().await.map(|()| false).map_err(fault),
        Err(error) if code(&error) == Some("23514") => {
            let text = "an id of an event says a day after tomorrow: see that the clocks of writers are right, and divide when \
                        that day has come or the event is gone";
            Err(Error::new(ErrorKind::WrongState, text).with("schema", schema))
        }
        Err(error) => Err(fault(error)),
    }
}
