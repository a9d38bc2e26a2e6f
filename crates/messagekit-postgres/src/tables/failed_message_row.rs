//! Reads rows of failed messages: their state and the message inside.

use messagekit::Error;
use messagekit::adapter::{OperatorRow, ReceivedMessage};
use messagekit::operations::FailedMessageState;
use sqlx::postgres::PgRow;

use super::operator_row::PgColumns;

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
    let row = PgColumns::of(row);
    Ok(FailedMessageRow {
        id: row.get("id")?,
        attempts: row.get("attempts")?,
        crash_count: row.get("crash_count")?,
        received: row.read()?,
    })
}

/// Reads the state of a failed message.
pub(super) fn state_of(row: &PgRow) -> Result<FailedMessageState, Error> {
    PgColumns::of(row).get("state")
}
