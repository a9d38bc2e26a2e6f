//! The fenced cursors: consumers' next offsets in topics of this file.

use rusqlite::{Connection, OptionalExtension, Result};

use super::topics::Partition;

/// A cursor that was found or created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The offset to read next, never below the earliest record.
    pub(crate) next: i64,
    /// The number of records that were deleted before this consumer read them.
    pub(crate) gone: i64,
}

/// Returns the cursor of a consumer; creates a missing one at the earliest record.
///
/// A cursor before the earliest record moves there: deleted records never come.
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

/// Returns the partitions of a topic in which a consumer has a cursor, each with the offset to read next.
pub(crate) fn of_topic(conn: &Connection, consumer: &str, topic: &str) -> Result<Vec<(i32, i64)>> {
    conn.prepare_cached(
        "SELECT p.partition, k.next
         FROM messagekit_topics t JOIN messagekit_topic_partitions p ON p.topic_id = t.id
           JOIN messagekit_consumer_cursors k ON k.tp_id = p.id
           JOIN messagekit_consumers c ON c.id = k.consumer_id
         WHERE t.name = ?1 AND c.name = ?2 ORDER BY p.partition",
    )?
    .query_map((topic, consumer), |row| Ok((row.get(0)?, row.get(1)?)))?
    .collect()
}

/// Moves a cursor from the value that its owner expects; returns false when another process has moved it.
///
/// A smaller `next` does not move it, and the result still tells whether the value was the expected one.
pub(crate) fn advance(conn: &Connection, consumer: i64, tp: i64, expected: i64, next: i64) -> Result<bool> {
    let moved = conn
        .prepare_cached(
            "UPDATE messagekit_consumer_cursors SET next = max(next, ?4)
             WHERE consumer_id = ?1 AND tp_id = ?2 AND next = ?3",
        )?
        .execute((consumer, tp, expected, next))?;
    Ok(moved == 1)
}
