//! A consumer's own due failed messages: lease, run with its followers, resolve, fail, hand back.
//!
//! `due` is also the end of the lease, and `token` fences it: each lease and each action of an operator increments it. A
//! settled lease is over: its `running_since` is null.
//!
//! Statements find a failed message by its id alone, and its marker by a scalar subquery. Plans cached while the tables
//! were small would otherwise scan all failed messages or markers of the consumer.

use std::time::Duration;

use messagekit::adapter::{Failure, Follower, RetryLease, instance};
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{LeaseOf, LeasedMessage};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::blocked_keys::{self, BlockedKey};
use super::failed_runs::{appended, failed_run, leased_by};
use super::key_hash::key_hash;
use super::{after, clean, count, failed_message_row, micros};
use crate::SchemaName;
use crate::error::from_sqlx;

/// What a lease counts of the run before, and of its own.
macro_rules! counted {
    ($instance:literal) => {
        concat!(
            "crash_count = d.crash_count + (d.running_since IS NOT NULL AND d.run_length = 1)::int,
    alone = CASE WHEN d.running_since IS NULL THEN d.alone ELSE greatest(d.alone, d.run_length) END, run_length = 1,
    running_since = now(), token = d.token + 1, attempts = d.attempts + (d.running_since IS NULL OR d.run_length = 1)::int,
    ",
            leased_by!($instance)
        )
    };
}

/// What a lease hands out.
macro_rules! leased {
    () => {
        r#"d.id, d.token, d.attempts, d.crash_count, d.alone, d.state = 'retry_requested' AS requested, d.parked, d.message_id, d.topic,
    d.position_topic, d.partition, d."offset", d.key, d.headers, d.payload, d.due"#
    };
}

/// Oldest due first; skips failed messages that another worker is leasing. A failed message whose last run did not return
/// counts a crash. A run of several counts nothing instead; its messages run alone from now on. Of a key's parked failed
/// messages only the first open one runs, whatever the states of the others: an operator may have reopened one before it.
macro_rules! lease_due {
    ($of:literal) => {
        concat!(
            r#"
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.failed_messages d
  WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= now() AND (NOT d.parked OR (
    SELECT true FROM messagekit.failed_messages o
    WHERE o.consumer = d.consumer AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND (o.partition, o."offset") < (d.partition, d."offset")
    LIMIT 1) IS NULL)"#,
            $of,
            "
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.failed_messages d
  SET due = now() + $3 * interval '1 microsecond',
    ",
            counted!("$4"),
            "
  FROM head WHERE d.id = head.id
  RETURNING ",
            leased!(),
            ", head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id"
        )
    };
}

pub(crate) const LEASE_DUE: &str = lease_due!("");

/// As [`LEASE_DUE`], of the records of one topic, and of one partition unless it is null.
pub(crate) const LEASE_OF_TOPIC: &str = lease_due!(
    "
    AND d.partition IS NOT NULL AND coalesce(d.position_topic, d.topic) = $5 AND ($6::int IS NULL OR d.partition = $6)"
);

/// A failed message under its last lease, until it is settled or leased again.
pub(crate) const LEASED: &str = concat!(
    "
SELECT ",
    leased!(),
    "
FROM messagekit.failed_messages d
WHERE d.id = $2 AND d.token = $3 AND d.running_since IS NOT NULL AND (d.consumer = $1) IS TRUE"
);

/// As [`LEASED`], found by the position of its record while the lease lasts.
pub(crate) const LEASED_AT: &str = concat!(
    "
SELECT ",
    leased!(),
    r#"
FROM messagekit.failed_messages d
WHERE d.consumer = $1 AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due > now() AND d.running_since IS NOT NULL
  AND d.partition = $3 AND d."offset" = $4 AND coalesce(d.position_topic, d.topic) = $2 LIMIT 1"#
);

/// Leases one failed message, due or not, for no time. It counts as [`LEASE_DUE`] does.
pub(crate) const LEASE_ONE: &str = concat!(
    "
UPDATE messagekit.failed_messages d
SET due = now(), ",
    counted!("$3"),
    "
WHERE d.id = $1 AND d.consumer = $2 AND d.state IN ('retry_scheduled', 'retry_requested')
RETURNING ",
    leased!()
);

/// Allows several only where the next open failed message of the key is blocked: a message that runs alone gets the
/// crash.
pub(crate) const BEGIN_RUN: &str = r#"
UPDATE messagekit.failed_messages d SET due = now() + $5 * interval '1 microsecond',
  run_length = CASE WHEN (
    SELECT o.state FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
      AND (o.partition, o."offset", o.id) > (d.partition, d."offset", d.id)
    ORDER BY o.partition, o."offset", o.id LIMIT 1) = 'blocked' THEN $4 ELSE 1 END
WHERE d.id = $2 AND d.token = $3 AND d.running_since IS NOT NULL AND (d.consumer = $1) IS TRUE
RETURNING d.run_length"#;

/// The failed messages that are blocked behind another one of their key, up to the first that is not blocked or exceeds
/// the limit.
pub(crate) const FOLLOWERS: &str = r#"
SELECT f.id, f.token, f.attempts, f.crash_count, f.message_id, f.topic, f.position_topic, f.partition, f."offset", f.key, f.headers,
  f.payload
FROM (
  SELECT o.*, bool_and(o.state = 'blocked') OVER upto AS waits, sum(octet_length(o.payload)) OVER upto AS bytes
  FROM messagekit.failed_messages h
  CROSS JOIN LATERAL (
    SELECT d.* FROM messagekit.failed_messages d
    WHERE d.consumer = $1 AND d.topic = h.topic AND d.key_hash = h.key_hash AND d.parked
      AND d.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested')
      AND (d.partition, d."offset", d.id) > (h.partition, h."offset", h.id)
    ORDER BY d.partition, d."offset", d.id LIMIT $3) o
  WHERE h.id = $2 AND (h.consumer = $1) IS TRUE
  WINDOW upto AS (ORDER BY o.partition, o."offset", o.id ROWS UNBOUNDED PRECEDING)) f
WHERE f.waits AND f.bytes <= $4 ORDER BY f.partition, f."offset", f.id"#;

/// Updates the failed message first and its marker last: the claim of a late duplicate waits only from here to the
/// commit.
pub(crate) const RESOLVE: &str = "
WITH failed_message AS (
  UPDATE messagekit.failed_messages
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,
    changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM failed_message) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker)";

/// As [`RESOLVE`], for a parked failed message with a locked key: the next one of the key is due, and a key without
/// failed messages is deleted.
pub(crate) const RESOLVE_PARKED: &str = r#"
WITH failed_message AS (
  UPDATE messagekit.failed_messages
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL, attempts = attempts - 1,
    changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
next AS (
  UPDATE messagekit.failed_messages d
  SET state = 'retry_scheduled', reason = 'key_freed', due = now(), alone = greatest(d.alone, $6),
    changed_at = clock_timestamp()
  WHERE d.state = 'blocked' AND d.id = (
    SELECT o.id FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = $4 AND o.key_hash = $5 AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND o.id <> $2
    ORDER BY o.partition, o."offset" LIMIT 1)),
free AS (
  DELETE FROM messagekit.blocked_keys WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count = 0),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM failed_message) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker)"#;

/// As [`RESOLVE`], for a parked failed message and the blocked ones behind it. A later statement finds the next due one
/// of the key.
pub(crate) const RESOLVE_RUN: &str = "
WITH failed_message AS (
  UPDATE messagekit.failed_messages d
  SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL,
    attempts = d.attempts - (d.state <> 'blocked')::int, changed_at = clock_timestamp()
  WHERE d.id = ANY($3::bigint[]) AND d.token = ($4::bigint[])[array_position($3::bigint[], d.id)]
    AND CASE WHEN d.id = $2 THEN d.running_since IS NOT NULL ELSE d.state = 'blocked' END AND (d.consumer = $1) IS TRUE
  RETURNING message_id),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = ANY(ARRAY(SELECT message_id FROM failed_message)) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM failed_message), (SELECT count(*) FROM marker)";

/// A failed message that an operator asked to retry is dead at once.
pub(crate) const FAIL: &str = concat!(
    "
UPDATE messagekit.failed_messages d
SET state = CASE WHEN state = 'retry_requested' THEN 'dead' ELSE $4 END,
  reason = CASE WHEN state = 'retry_requested' THEN 'requested_run_failed' ELSE 'run_failed' END,
  due = CASE WHEN state = 'retry_requested' THEN NULL ELSE now() + $5 * interval '1 microsecond' END,
  changed_at = CASE WHEN state = $4 THEN changed_at ELSE clock_timestamp() END,
  running_since = NULL, kind = $6, error = $7, fingerprint = $8,
  failed_runs = ",
    appended!(failed_run!("d.attempts", "$7", "$9")),
    "
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE"
);

pub(crate) const HAND_BACK: &str = "
UPDATE messagekit.failed_messages
SET due = now() + $4 * interval '1 microsecond', running_since = NULL, attempts = attempts - 1
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE";

/// Leases failed messages that are due.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    max: u32,
    lease: Duration,
) -> Result<Vec<RetryLease>, Error> {
    let lease = sqlx::query(schema.sql(LEASE_DUE)).bind(consumer).bind(i64::from(max)).bind(micros(lease));
    let lease = lease.bind(instance());
    let rows = lease.fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(leased_of).collect()
}

/// Leases a failed message whose record is in a topic, and in a partition if one is given.
pub(crate) async fn lease_of_topic(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    (topic, partition): (&str, Option<i32>),
    lease: Duration,
) -> Result<Option<LeasedMessage>, Error> {
    let lease = sqlx::query(schema.sql(LEASE_OF_TOPIC)).bind(consumer).bind(1_i64).bind(micros(lease));
    let lease = lease.bind(instance()).bind(topic).bind(partition);
    let row = lease.fetch_optional(connection).await.map_err(from_sqlx)?;
    row.as_ref().map(leased_until).transpose()
}

/// Returns a failed message that is leased.
pub(crate) async fn leased(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    of: &LeaseOf,
) -> Result<Option<LeasedMessage>, Error> {
    let select = match of {
        LeaseOf::Token { failed_message, token } => {
            sqlx::query(schema.sql(LEASED)).bind(consumer).bind(*failed_message).bind(*token)
        }
        LeaseOf::Position { topic, partition, offset } => {
            sqlx::query(schema.sql(LEASED_AT)).bind(consumer).bind(&**topic).bind(*partition).bind(*offset)
        }
    };
    let row = select.fetch_optional(connection).await.map_err(from_sqlx)?;
    row.as_ref().map(leased_until).transpose()
}

fn leased_until(row: &PgRow) -> Result<LeasedMessage, Error> {
    let until: jiff_sqlx::Timestamp = row.try_get("due").map_err(from_sqlx)?;
    Ok(LeasedMessage { lease: leased_of(row)?, until: until.to_jiff() })
}

/// Leases one failed message, or returns `None` if it may not run any more.
pub(super) async fn lease_one(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    failed_message: i64,
) -> Result<Option<RetryLease>, Error> {
    let lease = sqlx::query(schema.sql(LEASE_ONE)).bind(failed_message).bind(consumer).bind(instance());
    let row = lease.fetch_optional(connection).await.map_err(from_sqlx)?;
    row.as_ref().map(leased_of).transpose()
}

pub(super) fn leased_of(row: &PgRow) -> Result<RetryLease, Error> {
    let kept = failed_message_row::read(row)?;
    Ok(RetryLease {
        failed_message: kept.id,
        token: row.try_get("token").map_err(from_sqlx)?,
        attempt: kept.attempts,
        crash_count: kept.crash_count,
        alone: row.try_get::<i32, _>("alone").map_err(from_sqlx)?.unsigned_abs(),
        requested: row.try_get("requested").map_err(from_sqlx)?,
        parked: row.try_get("parked").map_err(from_sqlx)?,
        received: kept.received,
    })
}

/// Stores how many failed messages may run together in a lease, one where none is blocked behind it, and renews the
/// lease.
pub(crate) async fn begin_run(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &RetryLease,
    most: u32,
    lease: Duration,
) -> Result<Option<u32>, Error> {
    let begin = sqlx::query_scalar(schema.sql(BEGIN_RUN))
        .bind(consumer)
        .bind(leased.failed_message)
        .bind(leased.token)
        .bind(count(most))
        .bind(micros(lease));
    let length: Option<i32> = begin.fetch_optional(connection).await.map_err(from_sqlx)?;
    Ok(length.map(i32::unsigned_abs))
}

/// Returns the failed messages that are blocked behind another one of their key.
pub(crate) async fn followers(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    failed_message: i64,
    messages: u32,
    bytes: u64,
) -> Result<Vec<Follower>, Error> {
    let followers = sqlx::query(schema.sql(FOLLOWERS))
        .bind(consumer)
        .bind(failed_message)
        .bind(i64::from(messages))
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX));
    let rows = followers.fetch_all(connection).await.map_err(from_sqlx)?;
    let read = |row: &PgRow| {
        let kept = failed_message_row::read(row)?;
        let token = row.try_get("token").map_err(from_sqlx)?;
        Ok(Follower { failed_message: kept.id, token, attempt: kept.attempts + 1, received: kept.received })
    };
    rows.iter().map(read).collect()
}

/// Marks failed messages and messages as applied. Returns false when the lease has changed, or a follower is no longer
/// blocked.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &RetryLease,
    followers: &[Follower],
) -> Result<bool, Error> {
    let topic = &*leased.received.message.topic;
    let failed_messages = i64::try_from(followers.len()).unwrap_or(i64::MAX).saturating_add(1);
    let hash = leased.received.message.key.as_deref().filter(|_| leased.parked).map(key_hash);
    if let Some(hash) = hash {
        // The key before its failed messages, and in a separate statement: a statement that waited for the key and read
        // the failed messages would not see the last holder's writes. Without a row, another transaction has closed the
        // last of them.
        if !blocked_keys::let_go(connection, schema, consumer, topic, hash, failed_messages).await? {
            return Ok(false);
        }
    }
    let resolve = match hash {
        None => {
            sqlx::query(schema.sql(RESOLVE)).bind(consumer).bind(leased.failed_message).bind(leased.token)
        }
        Some(hash) if followers.is_empty() => {
            let resolve = sqlx::query(schema.sql(RESOLVE_PARKED));
            let resolve =
                resolve.bind(consumer).bind(leased.failed_message).bind(leased.token).bind(topic).bind(hash);
            resolve.bind(count(leased.alone.saturating_sub(1)))
        }
        Some(_) => {
            let head = (leased.failed_message, leased.token);
            let behind = followers.iter().map(|follower| (follower.failed_message, follower.token));
            let (numbers, tokens): (Vec<i64>, Vec<i64>) = std::iter::once(head).chain(behind).unzip();
            // A cached plan from the time without failed messages would scan all of them.
            let resolve = sqlx::query(schema.sql(RESOLVE_RUN)).persistent(false);
            resolve.bind(consumer).bind(leased.failed_message).bind(numbers).bind(tokens)
        }
    };
    let row = resolve.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let written = |index: usize| row.try_get::<i64, _>(index).map_err(from_sqlx);
    let (resolved, marked) = (written(0)?, written(1)?);
    if resolved != failed_messages {
        return Ok(false);
    }
    if marked != failed_messages {
        return Err(Error::new(ErrorKind::Corrupt, "failed message is open but its message is not held")
            .with("failed_message", leased.failed_message)
            .with("id", &leased.received.id)
            .with("run_length", failed_messages));
    }
    if let Some(hash) = hash.filter(|_| !followers.is_empty()) {
        let key = BlockedKey { consumer: consumer.to_owned(), topic: topic.to_owned(), hash };
        blocked_keys::settle(connection, schema, &[key]).await?;
    }
    Ok(true)
}

/// Stores a failed run.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &RetryLease,
    failure: &Failure,
) -> Result<bool, Error> {
    let (state, due_in) = after(failure);
    let fail = sqlx::query(schema.sql(FAIL))
        .bind(consumer)
        .bind(leased.failed_message)
        .bind(leased.token)
        .bind(state)
        .bind(due_in)
        .bind(failure.kind.as_str())
        .bind(clean(&failure.error))
        .bind(failure.fingerprint())
        .bind(instance());
    Ok(fail.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}

/// Returns a lease without counting the run.
pub(crate) async fn hand_back(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &RetryLease,
    delay: Duration,
) -> Result<bool, Error> {
    let back = sqlx::query(schema.sql(HAND_BACK))
        .bind(consumer)
        .bind(leased.failed_message)
        .bind(leased.token)
        .bind(micros(delay));
    Ok(back.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}
