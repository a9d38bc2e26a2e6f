//! What is being handled while nobody knows yet whether it ends its process.

use messagekit::{Error, MessageId};
use sqlx::PgConnection;

use crate::SchemaName;
use crate::error::from_sqlx;

/// Counts the notes that stood before; whoever notes at the same moment lives.
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

/// Few rows stand here; a scalar per row cannot be planned as a join over all markers of the consumer.
pub(crate) const SWEEP: &str = "
DELETE FROM messagekit.in_flight_attempts s
WHERE s.consumer = $1 AND (
  SELECT true FROM messagekit.processed_messages p
  WHERE p.consumer = s.consumer AND p.message_id = s.message_id AND p.day = messagekit.day_of(s.message_id))";

/// Notes that a suspect is about to be handled, and returns how many others have and did not answer.
pub(crate) async fn begin_attempt(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    suspect: &MessageId,
    by: &str,
) -> Result<u32, Error> {
    let noted = sqlx::query_scalar(schema.sql(BEGIN_ATTEMPT)).bind(consumer).bind(suspect.as_str()).bind(by);
    let notes: i64 = noted.fetch_one(connection).await.map_err(from_sqlx)?;
    Ok(u32::try_from(notes).unwrap_or(u32::MAX))
}

/// Forgets all notes of a suspect.
pub(crate) async fn clear_attempts(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    suspect: &MessageId,
) -> Result<(), Error> {
    let absolve = sqlx::query(schema.sql(CLEAR_ATTEMPTS)).bind(consumer).bind(suspect.as_str());
    absolve.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Takes a note back, and leaves those of others.
pub(crate) async fn withdraw_attempt(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    suspect: &MessageId,
    by: &str,
) -> Result<(), Error> {
    let stand_down = sqlx::query(schema.sql(WITHDRAW_ATTEMPT)).bind(consumer).bind(suspect.as_str()).bind(by);
    stand_down.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Forgets the notes of messages that have a marker.
pub(crate) async fn sweep(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<(), Error> {
    sqlx::query(schema.sql(SWEEP)).bind(consumer).execute(connection).await.map(drop).map_err(from_sqlx)
}
