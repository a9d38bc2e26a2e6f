//! Dead letters: writing them whole, reading them back, and what a person does with them.

use jiff_sqlx::Timestamp;
use messagekit::{
    DeadLetter, Error, ErrorKind, Failure, LetterFilter, LetterState, Received, SetAsideOutcome, headers,
};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::key_hash::key_hash;
use super::{after, count, letter_row};
use crate::SchemaName;
use crate::error::from_sqlx;

/// Marker and letter in one round trip. The letter is written only with its marker, and over an earlier one only when that
/// is closed: its marker was forgotten then.
pub(crate) const SET_ASIDE: &str = r#"
WITH marker AS (
  INSERT INTO messagekit.processed_messages (consumer, message_id, outcome) VALUES ($1, $2, 'held')
  ON CONFLICT DO NOTHING RETURNING 1),
letter AS (
  INSERT INTO messagekit.dead_letters AS d
    (consumer, message_id, topic, place_topic, partition, "offset", key, key_hash, state, attempts, due,
     event_type, headers, payload, kind, error, fingerprint)
  SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, clock_timestamp() + $11 * interval '1 microsecond',
    $12, $13, $14, $15, $16, $17
  FROM marker
  ON CONFLICT (consumer, message_id) DO UPDATE SET
    topic = excluded.topic, place_topic = excluded.place_topic, partition = excluded.partition,
    "offset" = excluded."offset", key = excluded.key, key_hash = excluded.key_hash, parked = false,
    state = excluded.state, attempts = excluded.attempts, kills = 0, due = excluded.due, running_since = NULL,
    token = d.token + 1, generation = excluded.generation, event_type = excluded.event_type,
    headers = excluded.headers, payload = excluded.payload, kind = excluded.kind, error = excluded.error,
    fingerprint = excluded.fingerprint, changed_at = clock_timestamp()
  WHERE d.state IN ('resolved', 'discarded') RETURNING 1)
SELECT (SELECT count(*) FROM marker), (SELECT count(*) FROM letter)"#;

pub(crate) const LIST: &str = r#"
SELECT id, message_id, topic, place_topic, partition, "offset", key, headers, payload, attempts, kills,
  consumer, state, due, kind, error, fingerprint, set_aside_at, changed_at
FROM messagekit.dead_letters
WHERE id < $1 AND ($2::text IS NULL OR consumer = $2) AND ($3::text IS NULL OR state = $3)
  AND ($4::text IS NULL OR event_type = $4)
ORDER BY id DESC LIMIT $5"#;

pub(crate) const SHOW: &str = r#"
SELECT id, message_id, topic, place_topic, partition, "offset", key, headers, payload, attempts, kills,
  consumer, state, due, kind, error, fingerprint, set_aside_at, changed_at
FROM messagekit.dead_letters WHERE id = $1"#;

pub(crate) const RETRY: &str = "
UPDATE messagekit.dead_letters
SET state = 'replaying', due = now(), attempts = 0, kills = 0, running_since = NULL, token = token + 1,
  changed_at = clock_timestamp()
WHERE id = $1 AND state = 'dead'";

pub(crate) const STATE: &str = "SELECT state FROM messagekit.dead_letters WHERE id = $1";

/// Claims a message as held and keeps it whole.
pub(crate) async fn set_aside(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    received: &Received,
    failure: &Failure,
) -> Result<SetAsideOutcome, Error> {
    let message = &received.message;
    let headers = serde_json::to_vec(&message.headers).map_err(|error| {
        Error::new(ErrorKind::Other, "headers cannot be written as JSON").caused_by(error)
    })?;
    let event_type =
        message.headers.text(headers::EVENT_TYPE).or_else(|| message.headers.text(headers::CE_TYPE));
    let place = received.place.as_ref();
    let (state, due_in) = after(failure);
    let row = sqlx::query(schema.sql(SET_ASIDE))
        .bind(consumer)
        .bind(received.id.as_str())
        .bind(&*message.topic)
        .bind(place.map(|place| &*place.topic).filter(|topic| **topic != *message.topic))
        .bind(place.map(|place| place.partition))
        .bind(place.map(|place| place.offset))
        .bind(message.key.as_deref())
        .bind(message.key.as_deref().map(key_hash))
        .bind(state)
        .bind(count(failure.attempts))
        .bind(due_in)
        // For look-ups only; a text column refuses NUL, and no type has one.
        .bind(event_type.filter(|event_type| !event_type.contains('\0')))
        .bind(headers)
        .bind(&*message.payload)
        .bind(failure.kind.as_str())
        .bind(failure.error.replace('\0', " "))
        .bind(failure.fingerprint())
        .fetch_one(connection)
        .await
        .map_err(from_sqlx)?;
    let written = |index: usize| row.try_get::<i64, _>(index).map_err(from_sqlx);
    match (written(0)?, written(1)?) {
        (0, _) => Ok(SetAsideOutcome::AlreadySettled),
        (_, 1) => Ok(SetAsideOutcome::SetAside),
        _ => Err(Error::new(
            ErrorKind::Corrupt,
            "message has an open dead letter but no marker: restore the marker or the letter",
        )
        .with("id", &received.id)),
    }
}

/// Returns letters, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &LetterFilter,
    limit: u32,
) -> Result<Vec<DeadLetter>, Error> {
    let select = sqlx::query(schema.sql(LIST))
        // Planned for each filter anew: no one plan suits all of them.
        .persistent(false)
        .bind(filter.before.unwrap_or(i64::MAX))
        .bind(filter.consumer.as_deref())
        .bind(filter.state.map(LetterState::as_str))
        .bind(filter.event_type.as_deref())
        .bind(i64::from(limit));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(letter).collect()
}

/// Returns one letter.
pub(crate) async fn show(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: i64,
) -> Result<DeadLetter, Error> {
    let select = sqlx::query(schema.sql(SHOW)).bind(id);
    let row = select.fetch_optional(connection).await.map_err(from_sqlx)?;
    row.as_ref().map_or_else(|| Err(not_found(id)), letter)
}

/// Asks for one more run of a dead letter.
pub(crate) async fn retry(connection: &mut PgConnection, schema: &SchemaName, id: i64) -> Result<(), Error> {
    let update = sqlx::query(schema.sql(RETRY)).bind(id);
    if update.execute(&mut *connection).await.map_err(from_sqlx)?.rows_affected() == 1 {
        return Ok(());
    }
    let select = sqlx::query_scalar(schema.sql(STATE)).bind(id);
    let state: Option<String> = select.fetch_optional(connection).await.map_err(from_sqlx)?;
    Err(match state {
        None => not_found(id),
        Some(state) => Error::new(
            ErrorKind::WrongState,
            format!("letter {id} is {state}: only a dead one can be retried"),
        ),
    })
}

fn not_found(id: i64) -> Error {
    Error::new(ErrorKind::NotFound, format!("there is no dead letter {id}"))
}

fn letter(row: &PgRow) -> Result<DeadLetter, Error> {
    let letter_row::Kept { id, attempts, kills, received } = letter_row::read(row)?;
    let text = |column: &str| row.try_get::<String, _>(column).map_err(from_sqlx);
    let time = |column: &str| row.try_get::<Timestamp, _>(column).map(Timestamp::to_jiff).map_err(from_sqlx);
    let due: Option<Timestamp> = row.try_get("due").map_err(from_sqlx)?;
    Ok(DeadLetter {
        id,
        consumer: text("consumer")?,
        received,
        state: text("state")?.parse().map_err(|error: Error| {
            Error::new(ErrorKind::Corrupt, "stored letter has an unknown state")
                .with("letter", id)
                .caused_by(error)
        })?,
        attempts,
        kills,
        due: due.map(Timestamp::to_jiff),
        kind: text("kind")?,
        error: text("error")?,
        fingerprint: text("fingerprint")?,
        set_aside_at: time("set_aside_at")?,
        changed_at: time("changed_at")?,
    })
}
