//! Records of messages whose handler is running, to detect the message that crashes its process.

use messagekit::{Error, MessageId};
use sqlx::PgConnection;

use crate::SchemaName;
use crate::error::from_sqlx;

/// Counts the attempts of other runners that are already recorded. Two concurrent statements do not count each other.
pub(crate) const BEGIN_ATTEMPT: &str = "
WITH noted AS (
  INSERT INTO messagekit.in_flight_attempts (consumer, message_id, runner) VALUES ($1, $2, $3)
  ON CONFLICT (consumer, message_id, runner) DO UPDATE SET noted_at = excluded.noted_at)
SELECT count(*) FROM messagekit.in_flight_attempts
WHERE consumer = $1 AND message_id = $2 AND runner <> $3";

pub(crate) const CLEAR_ATTEMPTS: &str =
    "DELETE FROM messagekit.in_flight_attempts WHERE consumer = $1 AND message_id = $2";

pub(crate) const WITHDRAW_ATTEMPT: &str =
    "DELETE FROM messagekit.in_flight_attempts WHERE consumer = $1 AND message_id = $2 AND runner = $3";

/// The table is small. A scalar subquery for each row cannot be planned as a join over all markers of the consumer.
pub(crate) const SWEEP: &str = "
DELETE FROM messagekit.in_flight_attempts s
WHERE s.consumer = $1 AND (
  SELECT true FROM messagekit.processed_messages p
  WHERE p.consumer = s.consumer AND p.message_id = s.message_id AND p.day = messagekit.day_of(s.message_id))";

/// Records that a handler is about to run, and returns how many attempts of other runners have not ended.
pub(crate) async fn begin_attempt(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    message: &MessageId,
    by: &str,
) -> Result<u32, Error> {
    let noted = sqlx::query_scalar(schema.sql(BEGIN_ATTEMPT)).bind(consumer).bind(message.as_str()).bind(by);
    let notes: i64 = noted.fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(u32::try_from(notes).unwrap_or(u32::MAX))
}

/// Deletes all in-flight attempts of a message.
pub(crate) async fn clear_attempts(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    message: &MessageId,
) -> Result<(), Error> {
    let clear = sqlx::query(schema.sql(CLEAR_ATTEMPTS)).bind(consumer).bind(message.as_str());
    clear.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Deletes the runner's own attempt, and keeps those of others.
pub(crate) async fn withdraw_attempt(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    message: &MessageId,
    by: &str,
) -> Result<(), Error> {
    let withdraw = sqlx::query(schema.sql(WITHDRAW_ATTEMPT)).bind(consumer).bind(message.as_str()).bind(by);
    withdraw.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Deletes the attempts of messages that have a marker.
pub(crate) async fn sweep(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<(), Error> {
    sqlx::query(schema.sql(SWEEP)).bind(consumer).execute(connection).await.map(drop).map_err(from_sqlx)
}
