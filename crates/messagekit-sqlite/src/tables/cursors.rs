//! The fenced cursors: where consumers read on in topics of this file.

use rusqlite::{Connection, OptionalExtension, Result};

use super::topics::Partition;

/// A cursor as it was found or made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The offset to read next, never below what is kept.
    pub(crate) next: i64,
    /// How many records were deleted before this consumer read them.
    pub(crate) gone: i64,
}

/// Returns the cursor of a consumer and makes it at the earliest record when there is none.
///
/// A cursor that stands before the earliest record moves there: what was deleted cannot be waited for.
pub(crate) fn ensure(conn: &Connection, consumer: i64, partition: &Partition) -> Result<Found> {
    let earliest = partition.log_start;
    let known: Option<i64> = conn
        .prepare_cached("SELECT next FROM messagekit_consumer_cursors WHERE consumer_id = ?1 AND tp_id = ?2")?
        .query_row((consumer, partition.tp), |row| row.get(0))
        .optional()?;
    match known {
        Some(next) if next >= earliest => Ok(Found { next, gone: 0 }),
        Some(next) => {
            advance(conn, consumer, partition.tp, next, earliest)?;
            Ok(Found { next: earliest, gone: earliest - next })
        }
        None => {
            conn.prepare_cached(
                "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (?1, ?2, ?3)",
            )?
            .execute((consumer, partition.tp, earliest))?;
            Ok(Found { next: earliest, gone: 0 })
        }
    }
}

/// Moves a cursor from the value its owner expects; false when somebody else has moved it.
///
/// A smaller `next` leaves it where it is, and still says whether it is the expected one.
pub(crate) fn advance(conn: &Connection, consumer: i64, tp: i64, expected: i64, next: i64) -> Result<bool> {
    let moved = conn
        .prepare_cached(
            "UPDATE messagekit_consumer_cursors SET next = max(next, ?4)
             WHERE consumer_id = ?1 AND tp_id = ?2 AND next = ?3",
        )?
        .execute((consumer, tp, expected, next))?;
    Ok(moved == 1)
}
