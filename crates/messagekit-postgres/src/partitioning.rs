//! Partitions events and markers by the day of their ids, so that cleanup removes a whole day at once.
//!
//! The days form a ring of 32 partitions. They are created once, so none has to be created in time for a new day; cleanup
//! empties an expired day in place. The day comes from the id, a UUID of version 7, and not from the row or the message's
//! `createdAt`. An id stays the same in every copy, so a second copy finds the marker of the first. Ids without a day
//! share a partition of their own, which is cleaned row by row as before.

use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::{AssertSqlSafe, Executor, PgConnection};
use tokio::time::Instant;

use crate::SchemaName;
use crate::migrations::connection::{code, fault};
use crate::publishing_mode::{LOCK_WAIT, PAUSE, begin, busy, end, is_late, stop};
use crate::tables::days::IS_DIVIDED;

const DIVIDE: &str = include_str!("partitioning.sql");

/// Blocks readers too: they must not see rows twice or miss them. The order is that of a consumer that writes events.
const STOP: &str = "
LOCK TABLE messagekit.processed_messages, messagekit.outbox_events IN ACCESS EXCLUSIVE MODE";

/// The owners of the tables and publications that this user does not own.
const OF_OTHERS: &str = "
WITH ours AS (SELECT unnest(ARRAY['messagekit.outbox_events', 'messagekit.processed_messages'])::regclass AS id)
SELECT format('table %s of %s', c.oid::regclass, c.relowner::regrole) FROM pg_class c JOIN ours ON ours.id = c.oid
  WHERE NOT pg_has_role(c.relowner, 'USAGE')
UNION ALL SELECT DISTINCT format('publication %I of %s', p.pubname, p.pubowner::regrole)
  FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid JOIN ours ON ours.id = r.prrelid
  WHERE NOT pg_has_role(p.pubowner, 'USAGE')
ORDER BY 1";

/// Objects of the user on the tables, which would stay with the partition that an old table becomes.
const LEFT_BEHIND: &str = "
WITH ours AS (SELECT unnest(ARRAY['messagekit.outbox_events', 'messagekit.processed_messages'])::regclass AS id)
SELECT DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d
  JOIN ours ON d.refclassid = 'pg_class'::regclass AND d.refobjid = ours.id
  WHERE d.classid IN ('pg_rewrite'::regclass, 'pg_proc'::regclass, 'pg_policy'::regclass)
UNION ALL SELECT format('trigger %I', t.tgname) FROM pg_trigger t JOIN ours ON ours.id = t.tgrelid
  WHERE NOT t.tgisinternal AND t.tgname NOT IN ('outbox_is_pending', 'outbox_refuses_delay', 'outbox_to_topics')
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

/// Builds the index without blocking other work, however long it takes.
const MAKE_INDEX: &str = "
CREATE UNIQUE INDEX CONCURRENTLY processed_messages_other_pkey ON messagekit.processed_messages (consumer, message_id, day)";

const DROP_INDEX: &str = "DROP INDEX CONCURRENTLY messagekit.processed_messages_other_pkey";

/// All markers of an unpartitioned table have day -1. The constraint saves a scan while the table is locked.
const WHOLE: [&str; 3] = [
    "ALTER TABLE messagekit.processed_messages DROP CONSTRAINT IF EXISTS processed_messages_whole",
    "ALTER TABLE messagekit.processed_messages ADD CONSTRAINT processed_messages_whole CHECK (day = -1) NOT VALID",
    "ALTER TABLE messagekit.processed_messages VALIDATE CONSTRAINT processed_messages_whole",
];

/// The first day of the ring, counted from 1970: the day after tomorrow, so that no clock slightly ahead has used it; 0
/// without any id.
const FIRST_DAY: &str = "
SELECT CASE WHEN EXISTS (SELECT FROM messagekit.outbox_events) OR EXISTS (SELECT FROM messagekit.processed_messages)
  THEN extract(epoch FROM clock_timestamp())::bigint / 86400 + 2 ELSE 0 END";

/// Partitions the tables of events and markers by day, and returns what this call did. Idempotent.
///
/// Afterwards `messagekit cleanup` removes a day by emptying its partition, without reading or writing rows and with
/// nothing to vacuum. Existing rows stay in a partition of their own. From the day after tomorrow, each event and marker
/// goes to the partition of its day. Only markers whose ids already name such a day are moved there. Producers, readers
/// and captures keep using the same table names; rights, the relay's trigger and the publication are kept.
///
/// Programs may keep running. The call first builds an index of the markers without blocking them. Then they wait for two
/// scans: of all events, about 4 s for a million, and of the markers whose ids are UUIDs of other versions, about 3 s for
/// a million.
///
/// # Errors
/// [`ErrorKind::WrongState`] when the tables have views, triggers, indexes or similar objects of your own (drop them, and
/// create them again afterwards), or when an id names a day after tomorrow; [`ErrorKind::Conflict`] when open
/// transactions leave no moment within `limit`, or another process is switching: retry; [`ErrorKind::Other`] when another
/// role owns the tables or the publication. Otherwise as [`migrations::migrate`](crate::migrations::migrate);
/// [`ErrorKind::Schema`] when that has not been run.
///
/// # Cancel safety
/// A dropped call has done all or nothing, except for an index and a constraint that the next call uses.
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

/// Checks the preconditions before anything is created.
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

/// Does the slow part without blocking other work.
async fn prepare(
    conn: &mut PgConnection,
    schema: &SchemaName,
    until: Instant,
    limit: Duration,
) -> Result<(), Error> {
    conn.execute("SET statement_timeout = 0").await.map_err(fault)?;
    let index = sqlx::query_scalar(schema.sql(INDEX)).persistent(false);
    let is_valid: Option<bool> = index.fetch_optional(&mut *conn).await.map_err(fault)?;
    // The index build waits for older transactions, and no transaction waits for it.
    wait_for_locks(conn, limit).await?;
    let make_index = match is_valid {
        Some(true) => &[][..],
        // An earlier build was interrupted.
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
    // One by one, so that the scan of all rows holds no lock that a producer needs.
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
    // Zero would mean no limit.
    let set = AssertSqlSafe(format!("SET lock_timeout = {}", limit.as_millis().max(1)));
    conn.execute(sqlx::raw_sql(set)).await.map(drop).map_err(fault)
}

/// Returns false when the table locks were not granted in time.
async fn attempt(conn: &mut PgConnection, schema: &SchemaName) -> Result<bool, Error> {
    let Some(mut tx) = stop(conn, schema, STOP).await? else { return Ok(false) };
    // Objects may have been created meanwhile.
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
