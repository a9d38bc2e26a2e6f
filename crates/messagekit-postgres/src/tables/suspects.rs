//! The message that is being handled while nobody knows yet whether it ends its process.
//!
//! `since` is null while nobody runs it. A message without coordinates stands at partition -1.

use messagekit::{Error, Received};
use sqlx::PgConnection;

use crate::SchemaName;
use crate::error::from_sqlx;

/// A note that is still standing was never answered: the process died.
pub(crate) const SUSPECT: &str = r#"
INSERT INTO messagekit.suspects AS s (consumer, topic, partition, message_id, "offset", generation)
VALUES ($1, $2, $3, $4, $5, 0)
ON CONFLICT (consumer, topic, partition, message_id) DO UPDATE
  SET kills = s.kills + (s.since IS NOT NULL)::int, since = now(), "offset" = excluded."offset"
RETURNING kills"#;

pub(crate) const ABSOLVE: &str = "
DELETE FROM messagekit.suspects WHERE consumer = $1 AND topic = $2 AND partition = $3 AND message_id = $4";

/// The row stays where it has counted deaths.
pub(crate) const STAND_DOWN: &str = "
WITH gone AS (
  DELETE FROM messagekit.suspects
  WHERE consumer = $1 AND topic = $2 AND partition = $3 AND message_id = $4 AND kills = 0)
UPDATE messagekit.suspects SET since = NULL
WHERE consumer = $1 AND topic = $2 AND partition = $3 AND message_id = $4 AND kills > 0";

/// Few rows stand here; a scalar per row cannot be planned as a join over all markers of the consumer.
pub(crate) const SWEEP: &str = "
DELETE FROM messagekit.suspects s
WHERE s.consumer = $1 AND (
  SELECT true FROM messagekit.processed_messages p WHERE p.consumer = s.consumer AND p.message_id = s.message_id)";

fn coordinates(received: &Received) -> (i32, i64) {
    received.place.as_ref().map_or((-1, 0), |place| (place.partition, place.offset))
}

/// Notes that a message is about to be handled alone, and returns how many processes it has ended.
pub(crate) async fn suspect(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &Received,
) -> Result<u32, Error> {
    let (partition, offset) = coordinates(received);
    let insert = sqlx::query_scalar(schema.sql(SUSPECT))
        .bind(consumer)
        .bind(&*received.message.topic)
        .bind(partition)
        .bind(received.id.as_str())
        .bind(offset);
    insert.fetch_one(connection).await.map(i32::unsigned_abs).map_err(from_sqlx)
}

/// Forgets a note.
pub(crate) async fn absolve(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &Received,
) -> Result<(), Error> {
    answer(connection, schema, ABSOLVE, consumer, received).await
}

/// Takes a note back, and keeps the deaths that were counted before.
pub(crate) async fn stand_down(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &Received,
) -> Result<(), Error> {
    answer(connection, schema, STAND_DOWN, consumer, received).await
}

async fn answer(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statement: &'static str,
    consumer: &str,
    received: &Received,
) -> Result<(), Error> {
    let query = sqlx::query(schema.sql(statement))
        .bind(consumer)
        .bind(&*received.message.topic)
        .bind(coordinates(received).0)
        .bind(received.id.as_str());
    query.execute(connection).await.map(drop).map_err(from_sqlx)
}

/// Forgets the notes of messages that have a marker.
pub(crate) async fn sweep(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
) -> Result<(), Error> {
    sqlx::query(schema.sql(SWEEP)).bind(consumer).execute(connection).await.map(drop).map_err(from_sqlx)
}
