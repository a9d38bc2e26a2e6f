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

/// Returns the cursor of a consumer. Creates a missing one at the position that the file has recorded, else at `first`, else at the
/// earliest record.
///
/// A cursor before the earliest record moves there: deleted records never come.
pub(crate) fn ensure(
    conn: &Connection,
    consumer: i64,
    partition: &Partition,
    first: Option<i64>,
) -> Result<Found> {
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
            let first = recorded(conn, consumer, partition.tp)?.or(first).unwrap_or(earliest);
            let next = first.min(partition.next_offset).max(earliest);
            conn.prepare_cached(
                "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next) VALUES (?1, ?2, ?3)",
            )?
            .execute((consumer, partition.tp, next))?;
            Ok(Found { next, gone: (earliest - first).max(0) })
        }
    }
}

/// Returns the smallest position that the key lanes of a consumer have recorded in a partition.
fn recorded(conn: &Connection, consumer: i64, tp: i64) -> Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT min(o.next) FROM messagekit_topic_partitions p JOIN messagekit_consumer_offsets o
           ON o.consumer_id = ?1 AND o.topic_id = p.topic_id AND o.partition = p.partition AND o.key_lane < 0x80000000
         WHERE p.id = ?2",
    )?
    .query_row((consumer, tp), |row| row.get(0))
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

/// Forgets a consumer in a topic: its cursors, its claims, and the positions that its key lanes have recorded. Returns whether there were
/// any.
pub(crate) fn forget(conn: &Connection, consumer: &str, topic: &str) -> Result<bool> {
    let partitions = "consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?1) AND tp_id IN (
        SELECT p.id FROM messagekit_topics t JOIN messagekit_topic_partitions p ON p.topic_id = t.id WHERE t.name = ?2)";
    let positions = "consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?1)
        AND topic_id = (SELECT id FROM messagekit_topics WHERE name = ?2)";
    let delete = |table: &str, own: &str| {
        conn.prepare_cached(&format!("DELETE FROM {table} WHERE {own}"))?.execute((consumer, topic))
    };
    delete("messagekit_record_claims", partitions)?;
    let cursors = delete("messagekit_consumer_cursors", partitions)?;
    let recorded = delete("messagekit_consumer_offsets", positions)?;
    Ok(cursors + recorded > 0)
}

/// Moves a cursor from the value that its owner expects; returns false when another process has moved it, or has dropped the topic:
/// a position in it must not be recorded under its name, which may already be that of the next one.
///
/// A smaller `next` does not move it, and the result still tells whether the value was the expected one.
pub(crate) fn advance(conn: &Connection, consumer: i64, tp: i64, expected: i64, next: i64) -> Result<bool> {
    let moved = conn
        .prepare_cached(
            "UPDATE messagekit_consumer_cursors SET next = max(next, ?4)
             WHERE consumer_id = ?1 AND tp_id = ?2 AND next = ?3 AND EXISTS (
               SELECT 1 FROM messagekit_topic_partitions p JOIN messagekit_topics t ON t.id = p.topic_id
               WHERE p.id = ?2 AND t.partitions > 0)",
        )?
        .execute((consumer, tp, expected, next))?;
    Ok(moved == 1)
}
