//! The message inside a failed message.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::{ReceivedMessage, headers_from_json};
use messagekit::{Error, Message, MessageId, Position};
use rusqlite::Row;

use crate::error::from_sqlite;

/// The columns that [`read`] reads. Without a table name, which RETURNING does not accept.
pub(crate) const COLUMNS: &str =
    "id, token, attempts, message_id, topic, position_topic, partition, offset, key, headers, payload";

/// The part of a failed message that a run needs.
#[derive(Debug)]
pub(crate) struct FailedMessageRow {
    pub(crate) id: i64,
    pub(crate) token: i64,
    pub(crate) attempts: u32,
    pub(crate) received: ReceivedMessage,
}

/// Reads the columns of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<FailedMessageRow, Error> {
    let (kept, headers) = columns_of(row).map_err(from_sqlite)?;
    let headers = headers_from_json(&headers).map_err(|error| error.with("failed_message", kept.id))?;
    let message = Message { headers, ..kept.received.message };
    Ok(FailedMessageRow { received: ReceivedMessage { message, ..kept.received }, ..kept })
}

/// Reads the columns unchanged, with the headers still in JSON.
fn columns_of(row: &Row<'_>) -> rusqlite::Result<(FailedMessageRow, String)> {
    let message_id: String = row.get(3)?;
    let topic: Arc<str> = row.get(4)?;
    let position_topic: Option<Arc<str>> = row.get(5)?;
    let (partition, offset): (Option<i32>, Option<i64>) = (row.get(6)?, row.get(7)?);
    let position = partition.zip(offset).map(|(partition, offset)| Position {
        topic: position_topic.unwrap_or_else(|| topic.clone()),
        partition,
        offset,
    });
    let mut message = Message::new(topic, row.get::<_, Vec<u8>>(10)?);
    message.key = row.get::<_, Option<Vec<u8>>>(8)?.map(Bytes::from);
    let received = ReceivedMessage { id: MessageId::from_stored(&message_id), message, position };
    let kept = FailedMessageRow { id: row.get(0)?, token: row.get(1)?, attempts: row.get(2)?, received };
    Ok((kept, row.get(9)?))
}
