//! A row of dead letters: what is known about it, and the message inside.

use std::str::FromStr;
use std::sync::Arc;

use bytes::Bytes;
use jiff_sqlx::Timestamp;
use messagekit::{Error, ErrorKind, Headers, LetterHead, LetterState, Message, MessageId, Place, Received};
use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::error::from_sqlx;

/// The part of a letter that a run needs.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) id: i64,
    pub(super) attempts: u32,
    pub(super) kills: u32,
    pub(super) received: Received,
}

/// Reads a row that has the columns of the message by their names.
pub(super) fn read(row: &PgRow) -> Result<Kept, Error> {
    let (kept, headers) = columns_of(row).map_err(from_sqlx)?;
    // The cause would quote values, so only its place is told.
    let headers: Headers = serde_json::from_slice(headers).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored headers are not a list of pairs")
            .with("letter", kept.id)
            .with("column", error.column())
    })?;
    let message = Message { headers, ..kept.received.message };
    Ok(Kept { received: Received { message, ..kept.received }, ..kept })
}

/// The columns as they are, with the headers still in JSON.
fn columns_of(row: &PgRow) -> sqlx::Result<(Kept, &[u8])> {
    let (topic, place) = coordinates_of(row)?;
    let mut message = Message::new(topic, row.try_get::<Vec<u8>, _>("payload")?);
    message.key = row.try_get::<Option<Vec<u8>>, _>("key")?.map(Bytes::from);
    let id = MessageId::from_stored(row.try_get("message_id")?);
    let kept = Kept {
        id: row.try_get("id")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        kills: row.try_get::<i32, _>("kills")?.unsigned_abs(),
        received: Received { id, message, place },
    };
    Ok((kept, row.try_get("headers")?))
}

fn coordinates_of(row: &PgRow) -> sqlx::Result<(Arc<str>, Option<Place>)> {
    let topic: Arc<str> = Arc::from(row.try_get::<&str, _>("topic")?);
    let place_topic: Option<&str> = row.try_get("place_topic")?;
    let (partition, offset): (Option<i32>, Option<i64>) = (row.try_get("partition")?, row.try_get("offset")?);
    let place = partition.zip(offset).map(|(partition, offset)| Place {
        topic: place_topic.map_or_else(|| Arc::clone(&topic), Arc::from),
        partition,
        offset,
    });
    Ok((topic, place))
}

/// Reads what is known about a letter.
pub(super) fn head_of(row: &PgRow) -> Result<LetterHead, Error> {
    let (state, origin) = (state_of(row)?, word_of(row, "origin")?);
    let read = || {
        let (topic, place) = coordinates_of(row)?;
        let time = |column: &str| row.try_get::<Timestamp, _>(column).map(Timestamp::to_jiff);
        Ok(LetterHead {
            id: row.try_get("id")?,
            consumer: row.try_get("consumer")?,
            origin,
            return_to: row.try_get("return_to")?,
            message_id: MessageId::from_stored(row.try_get("message_id")?),
            topic,
            place,
            key: row.try_get::<Option<Vec<u8>>, _>("key")?.map(Bytes::from),
            event_type: row.try_get("event_type")?,
            state,
            attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
            kills: row.try_get::<i32, _>("kills")?.unsigned_abs(),
            due: row.try_get::<Option<Timestamp>, _>("due")?.map(Timestamp::to_jiff),
            kind: row.try_get("kind")?,
            error: row.try_get("error")?,
            fingerprint: row.try_get("fingerprint")?,
            set_aside_at: time("set_aside_at")?,
            changed_at: time("changed_at")?,
            payload_bytes: row.try_get::<i64, _>("payload_bytes")?.unsigned_abs(),
        })
    };
    read().map_err(from_sqlx)
}

/// Reads where a letter stands.
pub(super) fn state_of(row: &PgRow) -> Result<LetterState, Error> {
    word_of(row, "state")
}

fn word_of<T: FromStr<Err = Error>>(row: &PgRow, column: &'static str) -> Result<T, Error> {
    row.try_get::<&str, _>(column).map_err(from_sqlx)?.parse().map_err(|error: Error| {
        Error::new(ErrorKind::Corrupt, format!("stored letter has an unknown {column}")).caused_by(error)
    })
}
