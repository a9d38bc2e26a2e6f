//! Parks messages in the order of their keys.

use std::collections::HashMap;

use messagekit::adapter::{Failure, ReceivedMessage, SetAsideOutcome};
use messagekit::{Error, ErrorKind};
use sqlx::PgConnection;

use super::blocked_keys::{self, Held};
use super::failed_messages::Columns;
use super::failed_runs::{failed_in, failed_run, first_run};
use super::key_hash::key_hash;
use super::{after, clean, count};
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::parking_quota::ParkingQuota;

/// Claims a message as held; returns no row when another transaction has settled it. Markers that settle it are excluded
/// in advance, so that they are not locked, as when a range is claimed again.
pub(crate) const MARK: &str = "
INSERT INTO messagekit.processed_messages AS p (consumer, message_id, day, outcome, generation)
SELECT $1, $2, messagekit.day_of($2), 'held', $3 WHERE (
  SELECT true FROM messagekit.processed_messages q
  WHERE q.consumer = $1 AND q.message_id = $2 AND q.day = messagekit.day_of($2) AND (q.outcome <> 'done' OR q.generation >= $3)) IS NULL
ON CONFLICT ON CONSTRAINT processed_messages_pkey DO UPDATE
  SET outcome = excluded.outcome, generation = excluded.generation, earlier = p.generation, processed_at = now()
  WHERE p.outcome = 'done' AND p.generation < excluded.generation";

/// Writes failed messages whose keys are locked, each behind the earlier open ones. Replaces an earlier failed message
/// only when that is closed: retention has removed its marker, or a range is processed again.
pub(crate) const FAILED_MESSAGES: &str = concat!(
    r#"
INSERT INTO messagekit.failed_messages AS d
  (consumer, message_id, topic, position_topic, partition, "offset", key, key_hash, parked, state, reason, attempts,
   due, generation, event_type, headers, payload, kind, error, fingerprint, failed_runs)
SELECT $1, b.id, b.topic, b.position_topic, b.partition, b."offset", b.key, b.key_hash, true,
  CASE WHEN b.waits THEN 'blocked' ELSE $12 END, CASE WHEN b.waits THEN 'key_blocked' ELSE 'set_aside' END, $13,
  CASE WHEN NOT b.waits THEN clock_timestamp() + $14 * interval '1 microsecond' END,
  coalesce((SELECT p.generation FROM messagekit.processed_messages p
    WHERE p.consumer = $1 AND p.message_id = b.id AND p.day = messagekit.day_of(b.id)), 0),
  b.event_type, b.headers, b.payload, $15, $16, $17,
  "#,
    first_run!("$13::int", "$16", "$18"),
    r#"
FROM (
  SELECT u.*, row_number() OVER (PARTITION BY u.topic, u.key_hash ORDER BY u.partition, u."offset") > 1 OR coalesce((
    SELECT true FROM messagekit.failed_messages o
    WHERE o.consumer = $1 AND o.topic = u.topic AND o.key_hash = u.key_hash AND o.parked
      AND o.state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested') AND (o.partition, o."offset") < (u.partition, u."offset")
    LIMIT 1), false) AS waits
  FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[], $7::bytea[], $8::bigint[], $9::text[],
    $10::bytea[], $11::bytea[])
    AS u (id, topic, position_topic, partition, "offset", key, key_hash, event_type, headers, payload)) b
ON CONFLICT (consumer, message_id) DO UPDATE SET
  topic = excluded.topic, position_topic = excluded.position_topic, partition = excluded.partition,
  "offset" = excluded."offset", key = excluded.key, key_hash = excluded.key_hash, parked = true,
  state = excluded.state, reason = excluded.reason, attempts = excluded.attempts, crash_count = 0, alone = 0,
  due = excluded.due, running_since = NULL, token = d.token + 1, generation = excluded.generation,
  event_type = excluded.event_type, headers = excluded.headers, payload = excluded.payload,
  kind = excluded.kind, error = excluded.error,
  fingerprint = excluded.fingerprint, origin = 'store', return_to = NULL, failed_runs = excluded.failed_runs,
  changed_at = clock_timestamp()
WHERE d.state IN ('resolved', 'discarded')"#
);

/// Claims a message as held and stores it completely, so that it blocks its key.
pub(crate) async fn park(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &ReceivedMessage,
    failure: &Failure,
    room: ParkingQuota<'_>,
) -> Result<SetAsideOutcome, Error> {
    let key = key_of(received)?;
    let mark = sqlx::query(schema.sql(MARK)).bind(consumer).bind(received.id.as_str());
    let mark = mark.bind(failure.generation).execute(&mut *connection).await.map_err(from_sqlx)?;
    // Before locking the key: the transaction never waits for a key while it has another's marker locked.
    if mark.rows_affected() == 0 {
        return Ok(SetAsideOutcome::AlreadySettled);
    }
    let held = blocked_keys::hold(&mut *connection, schema, consumer, &[key]).await?;
    if fitting(connection, schema, consumer, &[key], &held, room).await? == 0 {
        return Ok(SetAsideOutcome::Full);
    }
    write(connection, schema, consumer, &[received], failure).await?;
    Ok(SetAsideOutcome::SetAside)
}

/// Parks messages that were claimed behind their keys; returns how many fit the quota.
pub(crate) async fn park_behind(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    behind: &[&ReceivedMessage],
    room: ParkingQuota<'_>,
) -> Result<usize, Error> {
    if behind.is_empty() {
        return Ok(0);
    }
    let keys = behind.iter().map(|received| key_of(received)).collect::<Result<Vec<_>, _>>()?;
    let held = blocked_keys::hold(&mut *connection, schema, consumer, &keys).await?;
    if let Some(free) = held.iter().find(|held| held.failed_messages == count_of(&keys, held)) {
        // As head of the key it would block messages that are claimed as fresh from now on.
        let error = Error::new(ErrorKind::Conflict, "the key was freed since the claim: claim again");
        return Err(error.with("topic", free.topic));
    }
    let kept = fitting(connection, schema, consumer, &keys, &held, room).await?;
    if kept == behind.len() {
        write(connection, schema, consumer, behind, &Failure::behind()).await?;
    }
    Ok(kept)
}

fn key_of(received: &ReceivedMessage) -> Result<(&str, i64), Error> {
    let (Some(key), Some(_)) = (&received.message.key, &received.position) else {
        let error = Error::new(ErrorKind::Other, "only a message with a key and a position can be parked");
        return Err(error.with("id", &received.id));
    };
    Ok((&received.message.topic, key_hash(key)))
}

/// Returns how many of the counted failed messages belong to this key.
fn count_of(keys: &[(&str, i64)], held: &Held<'_>) -> i64 {
    own(keys.iter().filter(|key| **key == (held.topic, held.hash)).count())
}

fn own(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Returns how many of the counted failed messages fit the quota, in order.
async fn fitting(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    keys: &[(&str, i64)],
    held: &[Held<'_>],
    room: ParkingQuota<'_>,
) -> Result<usize, Error> {
    let ParkingQuota { bounds, uncounted } = room;
    let new = own(keys.len());
    let mut left_in_all = new;
    if !uncounted.take(consumer, bounds, new) {
        let in_all = blocked_keys::in_all(connection, schema, consumer).await?;
        left_in_all = i64::from(bounds.in_all) - (in_all - new);
        uncounted.counted(consumer, bounds, left_in_all - new);
    }
    let left = held.iter().map(|held| {
        let left = i64::from(bounds.per_key) - (held.failed_messages - count_of(keys, held));
        ((held.topic, held.hash), left)
    });
    let mut left: HashMap<(&str, i64), i64> = left.collect();
    for (index, key) in keys.iter().enumerate() {
        let of_key = left.entry(*key).or_default();
        (*of_key, left_in_all) = (*of_key - 1, left_in_all - 1);
        if *of_key < 0 || left_in_all < 0 {
            return Ok(index);
        }
    }
    Ok(keys.len())
}

/// Writes failed messages whose markers and keys are part of this transaction.
async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    kept: &[&ReceivedMessage],
    failure: &Failure,
) -> Result<(), Error> {
    let columns = kept.iter().map(|received| Columns::of(received)).collect::<Result<Vec<_>, _>>()?;
    let (state, due_in) = after(failure);
    let insert = sqlx::query(schema.sql(FAILED_MESSAGES))
        .bind(consumer)
        .bind(columns.iter().map(|of| of.id).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.topic).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.position_topic).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.partition).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.offset).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.key).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.key.map(key_hash)).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| of.event_type).collect::<Vec<_>>())
        .bind(columns.iter().map(|of| &*of.headers).collect::<Vec<&[u8]>>())
        .bind(columns.iter().map(|of| of.payload).collect::<Vec<_>>())
        .bind(state)
        .bind(count(failure.attempts))
        .bind(due_in)
        .bind(failure.kind.as_str())
        .bind(clean(&failure.error))
        .bind(failure.fingerprint())
        .bind(failed_in(failure));
    let written = insert.execute(connection).await.map_err(from_sqlx)?.rows_affected();
    if usize::try_from(written) == Ok(kept.len()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        "a message that was claimed has an open failed message: restore its marker or the failed message",
    )
    .with("messages", kept.len())
    .with("written", written))
}
