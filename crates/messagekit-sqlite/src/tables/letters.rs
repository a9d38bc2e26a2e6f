//! Dead letters: writing them whole, reading them back, and what a person does with them.

use messagekit::{
    DeadLetter, Error, ErrorKind, Failure, LetterFilter, LetterState, Next, Received, SetAsideOutcome,
    headers,
};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::letter_row::{self, COLUMNS};
use super::{columns, micros, processed, timestamp};
use crate::error::from_sqlite;

/// Returns the state that a failure leads to, and when the letter is due.
pub(crate) fn after(failure: &Failure, now: i64) -> (LetterState, Option<i64>) {
    match failure.next {
        Next::Retry(delay) => (LetterState::Retrying, Some(now.saturating_add(micros(delay)))),
        Next::Dead => (LetterState::Dead, None),
    }
}

/// Claims a message as held and keeps it whole.
pub(crate) fn set_aside(
    conn: &Connection,
    consumer: i64,
    received: &Received,
    failure: &Failure,
    now: i64,
) -> Result<SetAsideOutcome, Error> {
    if !processed::hold(conn, consumer, &received.id, now).map_err(from_sqlite)? {
        return Ok(SetAsideOutcome::AlreadySettled);
    }
    if insert(conn, consumer, received, failure, now)? {
        return Ok(SetAsideOutcome::SetAside);
    }
    Err(Error::new(
        ErrorKind::Corrupt,
        "message has an open dead letter but no marker: restore the marker or the letter",
    )
    .with("id", &received.id))
}

/// Writes a letter, over a resolved one of the same message if its marker was forgotten; false when it is open.
fn insert(
    conn: &Connection,
    consumer: i64,
    received: &Received,
    failure: &Failure,
    now: i64,
) -> Result<bool, Error> {
    let message = &received.message;
    let headers = columns::to_json(&message.headers)?;
    let event_type =
        message.headers.text(headers::EVENT_TYPE).or_else(|| message.headers.text(headers::CE_TYPE));
    let place = received.place.as_ref();
    let place_topic = place.map(|place| &*place.topic).filter(|topic| **topic != *message.topic);
    let (state, due) = after(failure, now);
    let insert = || {
        conn.prepare_cached(
            "INSERT INTO messagekit_dead_letters AS d
               (consumer_id, message_id, topic, place_topic, partition, offset, event_type, state, attempts, due,
                kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?14, ?15, ?16, ?17)
             ON CONFLICT (consumer_id, message_id) DO UPDATE SET
               topic = excluded.topic, place_topic = excluded.place_topic, partition = excluded.partition,
               offset = excluded.offset, event_type = excluded.event_type, state = excluded.state,
               attempts = excluded.attempts, kills = 0, due = excluded.due, running_since = NULL, token = d.token + 1,
               kind = excluded.kind, error = excluded.error, fingerprint = excluded.fingerprint,
               changed_at = excluded.changed_at, key = excluded.key, headers = excluded.headers,
               payload = excluded.payload
             WHERE d.state = 'resolved'",
        )?
        .execute(params![
            consumer,
            received.id.as_str(),
            &*message.topic,
            place_topic,
            place.map(|place| place.partition),
            place.map(|place| place.offset),
            event_type,
            state.as_str(),
            failure.attempts,
            due,
            failure.kind.as_str(),
            failure.error,
            failure.fingerprint(),
            now,
            message.key.as_deref(),
            headers,
            &*message.payload,
        ])
    };
    Ok(insert().map_err(from_sqlite)? == 1)
}

/// Returns letters, newest first.
pub(crate) fn list(conn: &Connection, filter: &LetterFilter, limit: u32) -> Result<Vec<DeadLetter>, Error> {
    let mut select = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, state, kills, due, kind, error, fingerprint, set_aside_at, changed_at,
               (SELECT name FROM messagekit_consumers WHERE id = consumer_id) AS name
             FROM messagekit_dead_letters
             WHERE (?1 IS NULL OR id < ?1) AND (?3 IS NULL OR state = ?3) AND (?4 IS NULL OR event_type = ?4)
               AND (?2 IS NULL OR consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?2))
             ORDER BY id DESC LIMIT ?5"
        ))
        .map_err(from_sqlite)?;
    let state = filter.state.map(LetterState::as_str);
    let mut rows = select
        .query((filter.before, filter.consumer.as_deref(), state, filter.event_type.as_deref(), limit))
        .map_err(from_sqlite)?;
    let mut letters = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        letters.push(letter(row)?);
    }
    Ok(letters)
}

/// Returns one letter.
pub(crate) fn show(conn: &Connection, id: i64) -> Result<DeadLetter, Error> {
    let before = id.checked_add(1);
    let filter = LetterFilter { before, ..LetterFilter::default() };
    let found = list(conn, &filter, 1)?.pop().filter(|letter| letter.id == id);
    found.ok_or_else(|| not_found(id))
}

/// Asks for one more run of a dead letter.
pub(crate) fn retry(conn: &Connection, id: i64, now: i64) -> Result<(), Error> {
    let moved = conn
        .prepare_cached(
            "UPDATE messagekit_dead_letters
             SET state = 'replaying', due = ?2, attempts = 0, kills = 0, running_since = NULL, token = token + 1,
                 changed_at = ?2
             WHERE id = ?1 AND state = 'dead'",
        )
        .and_then(|mut update| update.execute((id, now)))
        .map_err(from_sqlite)?;
    if moved == 1 {
        return Ok(());
    }
    let state: Option<String> = conn
        .prepare_cached("SELECT state FROM messagekit_dead_letters WHERE id = ?1")
        .and_then(|mut select| select.query_row([id], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
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

fn letter(row: &Row<'_>) -> Result<DeadLetter, Error> {
    let letter_row::Kept { id, attempts, received, .. } = letter_row::read(row)?;
    let text = |column: &str| row.get::<_, String>(column).map_err(from_sqlite);
    let time = |column: &str| row.get::<_, i64>(column).map_err(from_sqlite).and_then(timestamp);
    let due: Option<i64> = row.get("due").map_err(from_sqlite)?;
    Ok(DeadLetter {
        id,
        consumer: text("name")?,
        received,
        state: text("state")?.parse().map_err(|error: Error| {
            Error::new(ErrorKind::Corrupt, "stored letter has an unknown state")
                .with("letter", id)
                .caused_by(error)
        })?,
        attempts,
        kills: row.get("kills").map_err(from_sqlite)?,
        due: due.map(timestamp).transpose()?,
        kind: text("kind")?,
        error: text("error")?,
        fingerprint: text("fingerprint")?,
        set_aside_at: time("set_aside_at")?,
        changed_at: time("changed_at")?,
    })
}
