//! Topics of this file, their partitions and offsets.

use messagekit::log::Bounds;
use rusqlite::{Connection, Result};

use super::names::{self, Topic};

/// The number of bits of a record's position that hold its offset.
const OFFSET_BITS: u32 = 40;

/// A partition with its bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its number in the file, the upper part of its records' positions.
    pub(crate) tp: i64,
    pub(crate) partition: i32,
    pub(crate) log_start: i64,
    pub(crate) next_offset: i64,
}

impl Partition {
    /// Returns it as readers of the log see it.
    pub(crate) fn bounds(self) -> Bounds {
        Bounds { partition: self.partition, earliest: self.log_start, end: self.next_offset }
    }
}

/// Returns the position of a record: each partition is a range of one B-tree.
pub(crate) fn position(tp: i64, offset: i64) -> i64 {
    (tp << OFFSET_BITS) | offset
}

/// Returns the offset inside its partition of a record's position.
pub(crate) fn offset(position: i64) -> i64 {
    position & ((1 << OFFSET_BITS) - 1)
}

/// Returns the number in the file of a position's partition.
pub(crate) fn partition_id(position: i64) -> i64 {
    position >> OFFSET_BITS
}

/// Returns the topic of a name. Creates it with the given number of partitions when this file does not hold it yet.
pub(crate) fn ensure(conn: &Connection, name: &str, partitions_of_new: u32) -> Result<Topic> {
    let topic = names::topic(conn, name)?;
    if topic.partitions > 0 {
        return Ok(topic);
    }
    conn.prepare_cached("UPDATE messagekit_topics SET partitions = ?2 WHERE id = ?1")?
        .execute((topic.id, partitions_of_new))?;
    let mut insert =
        conn.prepare_cached("INSERT INTO messagekit_topic_partitions (topic_id, partition) VALUES (?1, ?2)")?;
    for partition in 0..partitions_of_new {
        insert.execute((topic.id, partition))?;
    }
    Ok(Topic { partitions: partitions_of_new, ..topic })
}

/// Returns the partitions of a topic in order; none when this file does not hold it.
pub(crate) fn partitions(conn: &Connection, name: &str) -> Result<Vec<Partition>> {
    conn.prepare_cached(
        "SELECT p.id, p.partition, p.log_start, p.next_offset
         FROM messagekit_topics t JOIN messagekit_topic_partitions p ON p.topic_id = t.id
         WHERE t.name = ?1 ORDER BY p.partition",
    )?
    .query_map([name], |row| {
        Ok(Partition {
            tp: row.get(0)?,
            partition: row.get(1)?,
            log_start: row.get(2)?,
            next_offset: row.get(3)?,
        })
    })?
    .collect()
}

/// Returns the partition of a topic with the fewest assigned offsets.
pub(crate) fn shortest(conn: &Connection, topic: i64) -> Result<u32> {
    conn.prepare_cached(
        "SELECT partition FROM messagekit_topic_partitions WHERE topic_id = ?1 ORDER BY next_offset, partition LIMIT 1",
    )?
    .query_row([topic], |row| row.get(0))
}

/// Sets whether topics, by name, are relayed. Pending records are published in both cases.
pub(crate) fn declare(conn: &Connection, names: &[String], leaves: bool) -> Result<()> {
    for name in names {
        let topic = names::topic(conn, name)?;
        if topic.leaves != leaves {
            conn.prepare_cached("UPDATE messagekit_topics SET leaves = ?2 WHERE id = ?1")?
                .execute((topic.id, leaves))?;
        }
    }
    Ok(())
}

/// Takes `count` offsets of a partition, for records of `bytes`, and returns its number and the first of them.
pub(crate) fn take_offsets(
    conn: &Connection,
    topic: i64,
    partition: u32,
    count: u32,
    bytes: i64,
) -> Result<(i64, i64)> {
    conn.prepare_cached(
        "UPDATE messagekit_topic_partitions SET next_offset = next_offset + ?3, bytes = bytes + ?4
         WHERE topic_id = ?1 AND partition = ?2 RETURNING id, next_offset - ?3",
    )?
    .query_row((topic, partition, count, bytes), |row| Ok((row.get(0)?, row.get(1)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_gives_its_offset_back_and_keeps_partitions_apart() {
        let last = (1 << OFFSET_BITS) - 1;
        for at in [0, 1, last] {
            assert_eq!(offset(position(8_388_607, at)), at);
        }
        assert_eq!(position(1, last) + 1, position(2, 0));
    }
}
