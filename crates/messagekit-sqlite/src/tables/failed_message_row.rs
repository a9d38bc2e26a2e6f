//! The message inside a failed message.

use messagekit::Error;
use messagekit::adapter::{OperatorRow, ReceivedMessage};
use rusqlite::Row;

use super::operator_row::SqliteRow;

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
    let row = SqliteRow(row);
    Ok(FailedMessageRow {
        id: row.get("id")?,
        token: row.get("token")?,
        attempts: row.get("attempts")?,
        received: row.read()?,
    })
}
