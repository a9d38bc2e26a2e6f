//! Reads rows of failed messages: their description and the message inside.

use std::sync::Arc;

use bytes::Bytes;
use jiff_sqlx::Timestamp;
use messagekit::adapter::{ReceivedMessage, headers_from_json, stored_word};
use messagekit::operations::{FailedMessageHead, FailedMessageState};
use messagekit::{Error, Message, MessageId, Position};
use sqlx::postgres::PgRow;
use sqlx::{Postgres, Row};

use crate::error::from_sqlx;

/// The part of a failed message that a run needs.
#[derive(Debug)]
pub(super) struct FailedMessageRow {
    pub(super) id: i64,
    pub(super) attempts: u32,
    pub(super) crash_count: u32,
    pub(super) received: ReceivedMessage,
}

/// Reads a row that has the columns of the message by their names.
pub(super) fn read(row: &PgRow) -> Result<FailedMessageRow, Error> {
    let (kept, headers) = columns_of(row).map_err(from_sqlx)?;
    let headers = headers_from_json(headers).map_err(|error| error.with("failed_message", kept.id))?;
    let message = Message { headers, ..kept.received.message };
    Ok(FailedMessageRow { received: ReceivedMessage { message, ..kept.received }, ..kept })
}

/// Reads the columns unchanged, with the headers still in JSON.
fn columns_of(row: &PgRow) -> sqlx::Result<(FailedMessageRow, &[u8])> {
    let (topic, position) = coordinates_of(row)?;
    let mut message = Message::new(topic, row.try_get::<Vec<u8>, _>("payload")?);
    message.key = row.try_get::<Option<Vec<u8>>, _>("key")?.map(Bytes::from);
    let id = MessageId::from_stored(row.try_get("message_id")?);
    let kept = FailedMessageRow {
        id: row.try_get("id")?,
        attempts: row.try_get::<i32, _>("attempts")?.unsigned_abs(),
        crash_count: row.try_get::<i32, _>("crash_count")?.unsigned_abs(),
        received: ReceivedMessage { id, message, position },
    };
    Ok((kept, row.try_get("headers")?))
}

fn coordinates_of(row: &PgRow) -> sqlx::Result<(Arc<str>, Option<Position>)> {
    let (topic, position_topic) = (row.try_get("topic")?, row.try_get("position_topic")?);
    Ok(coordinates(topic, position_topic, row.try_get("partition")?, row.try_get("offset")?))
}

fn coordinates(
    topic: &str,
    position_topic: Option<&str>,
    partition: Option<i32>,
    offset: Option<i64>,
) -> (Arc<str>, Option<Position>) {
    let topic: Arc<str> = Arc::from(topic);
    let position = partition.zip(offset).map(|(partition, offset)| Position {
        topic: position_topic.map_or_else(|| Arc::clone(&topic), Arc::from),
        partition,
        offset,
    });
    (topic, position)
}

/// Reads the description of a failed message from a row that begins with the columns of a head. Reads columns by index:
/// looking up the names of a hundred rows' columns takes as long as the statement.
pub(super) fn head_of(row: &PgRow) -> Result<FailedMessageHead, Error> {
    let mut columns = Columns { row, next: 0 };
    let (id, consumer) = (columns.take()?, columns.take()?);
    let (origin, return_to) = (stored_word(id, "origin", columns.take()?)?, columns.take()?);
    let message_id = MessageId::from_stored(columns.take()?);
    let (topic, position) = coordinates(columns.take()?, columns.take()?, columns.take()?, columns.take()?);
    let time = |time: Timestamp| time.to_jiff();
    Ok(FailedMessageHead {
        id,
        consumer,
        origin,
        return_to,
        message_id,
        topic,
        position,
        key: columns.take::<Option<Vec<u8>>>()?.map(Bytes::from),
        event_type: columns.take()?,
        state: stored_word(id, "state", columns.take()?)?,
        reason: stored_word(id, "state reason", columns.take()?)?,
        attempts: columns.take::<i32>()?.unsigned_abs(),
        crash_count: columns.take::<i32>()?.unsigned_abs(),
        due: columns.take::<Option<Timestamp>>()?.map(time),
        kind: columns.take()?,
        error: columns.take()?,
        fingerprint: columns.take()?,
        set_aside_at: time(columns.take()?),
        changed_at: time(columns.take()?),
        parked: columns.take()?,
        holds_back: columns.take::<Option<i32>>()?.unwrap_or_default().unsigned_abs().into(),
        payload_bytes: columns.take::<i64>()?.unsigned_abs(),
    })
}

/// The columns of a row, one after the other.
struct Columns<'r> {
    row: &'r PgRow,
    next: usize,
}

impl<'r> Columns<'r> {
    fn take<T: sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres>>(&mut self) -> Result<T, Error> {
        self.next += 1;
        self.row.try_get(self.next - 1).map_err(from_sqlx)
    }
}

/// Reads the state of a failed message.
pub(super) fn state_of(row: &PgRow) -> Result<FailedMessageState, Error> {
    let id: i64 = row.try_get("id").map_err(from_sqlx)?;
    let state = row.try_get("state").map_err(from_sqlx)?;
    stored_word(id, "state", state)
}
