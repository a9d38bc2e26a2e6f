//! A consumer's own due letters: lease, resolve, fail, hand back.
//!
//! `due` is also the end of the lease, and `token` its fence: each lease and each act of an operator counts it up. A
//! lease that was answered is over: `running_since` is null then.
//!
//! A letter is found by its number alone, and its marker by a scalar: plans that were made while the tables were small are
//! kept, and would otherwise go through all letters or markers of the consumer.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Failure, Leased};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::held_keys;
use super::key_hash::key_hash;
use super::{after, clean, letter_row, micros};
use crate::SchemaName;
use crate::error::from_sqlx;

/// Oldest due first, and nobody waits for a letter that another worker is just taking. A letter whose last run never came
/// back counts a kill. Of a key's parked letters only the first open one runs, whatever the states of the others say: one may
/// have been brought back before it.
pub(crate) const LEASE: &str = r#"
WITH head AS MATERIALIZED (
  SELECT d.id, d.due FROM messagekit.dead_letters d
  WHERE d.consumer = $1 AND d.state IN ('retrying', 'replaying') AND d.due <= now() AND (NOT d.parked OR (
    SELECT true FROM messagekit.dead_letters o
    WHERE o.consumer = d.consumer AND o.topic = d.topic AND o.key_hash = d.key_hash AND o.parked
      AND o.state IN ('retrying', 'waiting', 'dead', 'replaying') AND (o.partition, o."offset") < (d.partition, d."offset")
    LIMIT 1) IS NULL)
  ORDER BY d.due LIMIT $2 FOR UPDATE OF d SKIP LOCKED),
leased AS (
  UPDATE messagekit.dead_letters d
  SET due = now() + $3 * interval '1 microsecond', kills = d.kills + (d.running_since IS NOT NULL)::int,
    running_since = now(), token = d.token + 1, attempts = d.attempts + 1
  FROM head WHERE d.id = head.id
  RETURNING d.id, d.token, d.attempts, d.kills, d.state = 'replaying' AS replaying, d.parked, d.message_id, d.topic,
    d.place_topic, d.partition, d."offset", d.key, d.headers, d.payload, head.due AS was_due)
SELECT * FROM leased ORDER BY was_due, id"#;

/// The letter first and its marker last: whoever claims a late duplicate waits from here to the commit, no longer.
pub(crate) const RESOLVE: &str = "
WITH letter AS (
  UPDATE messagekit.dead_letters
  SET state = 'resolved', due = NULL, running_since = NULL, changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM letter) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM letter), (SELECT count(*) FROM marker)";

/// The same of a parked letter, whose key is locked: the next one of the key is due, and a key that holds nothing is forgotten.
pub(crate) const RESOLVE_PARKED: &str = r#"
WITH letter AS (
  UPDATE messagekit.dead_letters
  SET state = 'resolved', due = NULL, running_since = NULL, changed_at = clock_timestamp()
  WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE
  RETURNING message_id),
next AS (
  UPDATE messagekit.dead_letters d SET state = 'retrying', due = now(), changed_at = clock_timestamp()
  WHERE d.state = 'waiting' AND d.id = (
    SELECT o.id FROM messagekit.dead_letters o
    WHERE o.consumer = $1 AND o.topic = $4 AND o.key_hash = $5 AND o.parked
      AND o.state IN ('retrying', 'waiting', 'dead', 'replaying') AND o.id <> $2
    ORDER BY o.partition, o."offset" LIMIT 1)),
free AS (
  DELETE FROM messagekit.held_keys WHERE consumer = $1 AND topic = $4 AND key_hash = $5 AND count = 0),
marker AS (
  UPDATE messagekit.processed_messages p SET outcome = 'done', processed_at = now()
  WHERE p.consumer = $1 AND p.message_id = (SELECT message_id FROM letter) AND p.outcome = 'held'
  RETURNING 1)
SELECT (SELECT count(*) FROM letter), (SELECT count(*) FROM marker)"#;

/// A letter that a person had asked to run again is dead at once.
pub(crate) const FAIL: &str = "
UPDATE messagekit.dead_letters
SET state = CASE WHEN state = 'replaying' THEN 'dead' ELSE $4 END,
  due = CASE WHEN state = 'replaying' THEN NULL ELSE now() + $5 * interval '1 microsecond' END,
  changed_at = CASE WHEN state = $4 THEN changed_at ELSE clock_timestamp() END,
  running_since = NULL, kind = $6, error = $7, fingerprint = $8
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE";

pub(crate) const HAND_BACK: &str = "
UPDATE messagekit.dead_letters
SET due = now() + $4 * interval '1 microsecond', running_since = NULL, attempts = attempts - 1
WHERE id = $2 AND token = $3 AND running_since IS NOT NULL AND (consumer = $1) IS TRUE";

/// Leases letters that are due.
pub(crate) async fn lease(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    max: u32,
    lease: Duration,
) -> Result<Vec<Leased>, Error> {
    let lease = sqlx::query(schema.sql(LEASE)).bind(consumer).bind(i64::from(max)).bind(micros(lease));
    let rows = lease.fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(leased_of).collect()
}

pub(super) fn leased_of(row: &PgRow) -> Result<Leased, Error> {
    let kept = letter_row::read(row)?;
    Ok(Leased {
        letter: kept.id,
        token: row.try_get("token").map_err(from_sqlx)?,
        attempt: kept.attempts,
        kills: kept.kills,
        replaying: row.try_get("replaying").map_err(from_sqlx)?,
        parked: row.try_get("parked").map_err(from_sqlx)?,
        received: kept.received,
    })
}

/// Marks letter and message as applied; false when the lease is no longer this one.
pub(crate) async fn resolve(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &Leased,
) -> Result<bool, Error> {
    let topic = &*leased.received.message.topic;
    let resolve = match leased.received.message.key.as_deref().filter(|_| leased.parked).map(key_hash) {
        None => sqlx::query(schema.sql(RESOLVE)).bind(consumer).bind(leased.letter).bind(leased.token),
        Some(hash) => {
            // The key before its letters, and in a statement of its own: one that waited for the key and looked at the letters
            // would not see what the last holder has written. Without a row, somebody else has closed the last of them.
            if !held_keys::let_go(connection, schema, consumer, topic, hash).await? {
                return Ok(false);
            }
            let resolve = sqlx::query(schema.sql(RESOLVE_PARKED));
            resolve.bind(consumer).bind(leased.letter).bind(leased.token).bind(topic).bind(hash)
        }
    };
    let row = resolve.fetch_one(connection).await.map_err(from_sqlx)?;
    let written = |index: usize| row.try_get::<i64, _>(index).map_err(from_sqlx);
    match (written(0)?, written(1)?) {
        (0, _) => Ok(false),
        (_, 1) => Ok(true),
        _ => Err(Error::new(ErrorKind::Corrupt, "letter is open but its message is not held")
            .with("letter", leased.letter)
            .with("id", &leased.received.id)),
    }
}

/// Notes a failed run.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &Leased,
    failure: &Failure,
) -> Result<bool, Error> {
    let (state, due_in) = after(failure);
    let fail = sqlx::query(schema.sql(FAIL))
        .bind(consumer)
        .bind(leased.letter)
        .bind(leased.token)
        .bind(state)
        .bind(due_in)
        .bind(failure.kind.as_str())
        .bind(clean(&failure.error))
        .bind(failure.fingerprint());
    Ok(fail.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}

/// Gives a lease back without counting the run.
pub(crate) async fn hand_back(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    leased: &Leased,
    delay: Duration,
) -> Result<bool, Error> {
    let back = sqlx::query(schema.sql(HAND_BACK))
        .bind(consumer)
        .bind(leased.letter)
        .bind(leased.token)
        .bind(micros(delay));
    Ok(back.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}
