//! The message inside a dead letter.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::{Error, ErrorKind, Headers, Message, MessageId, Place, Received};
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
    let topic: Arc<str> = Arc::from(row.try_get::<&str, _>("topic")?);
    let place_topic: Option<&str> = row.try_get("place_topic")?;
    let (partition, offset): (Option<i32>, Option<i64>) = (row.try_get("partition")?, row.try_get("offset")?);
    let place = partition.zip(offset).map(|(partition, offset)| Place {
        topic: place_topic.map_or_else(|| Arc::clone(&topic), Arc::from),
        partition,
        offset,
    });
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
