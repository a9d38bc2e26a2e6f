//! Consumers of topics that read no more, or whose claims are scattered.

use messagekit::Error;
use messagekit::operations::Diagnosis;
use messagekit_topic_store::{GroupFindings, IDLE_FOUND, MOST_CONSUMERS_FOUND, SCATTERED_FOUND};
use rusqlite::Connection;

use crate::error::from_sqlite;
use crate::tables::{micros, timestamp};

/// Where a consumer has no cursor in a partition, its first record there is not handled.
const IDLE: &str = "
SELECT g.group_id, g.topic_id, min(r.created_at)
FROM messagekit_system_topic_offsets g
  JOIN messagekit_topics t ON t.name = g.topic_id
  JOIN messagekit_topic_definitions d ON d.topic_id = t.id AND d.keep_unhandled AND d.unhandled_max_age IS NULL
  JOIN messagekit_topic_partitions p ON p.topic_id = t.id AND p.partition = g.partition_id
  JOIN messagekit_topic_records r ON r.pos = (
    SELECT min(n.pos) FROM messagekit_topic_records n
    WHERE n.pos >= (p.id << 40) + coalesce(g.last_acked_offset + 1, 0) AND n.pos < (p.id + 1) << 40)
WHERE r.created_at < ?1
GROUP BY g.group_id, g.topic_id ORDER BY 3, 1, 2 LIMIT ?2";

/// Claims count while the cursor is where they were made.
const SCATTERED: &str = "
SELECT n.name, t.name, p.partition, json_array_length(c.ranges) AS ranges
FROM messagekit_record_claims c
  JOIN messagekit_consumer_cursors k ON k.consumer_id = c.consumer_id AND k.tp_id = c.tp_id AND k.next = c.next
  JOIN messagekit_consumers n ON n.id = c.consumer_id
  JOIN messagekit_topic_partitions p ON p.id = c.tp_id JOIN messagekit_topics t ON t.id = p.topic_id
WHERE json_array_length(c.ranges) >= ?1
ORDER BY ranges DESC, n.name, t.name, p.partition LIMIT ?2";

pub(super) fn look(conn: &Connection, now: i64, diagnosis: &mut Diagnosis) -> Result<(), Error> {
    let idle = || {
        conn.prepare(IDLE)?
            .query_map((now - micros(IDLE_FOUND), MOST_CONSUMERS_FOUND), |row| row.try_into())?
            .collect::<rusqlite::Result<Vec<(String, String, i64)>>>()
    };
    for (consumer, topic, stored) in idle().map_err(from_sqlite)? {
        diagnosis.found_idle_consumer(&consumer, &topic, timestamp(stored)?);
    }
    let scattered = || {
        conn.prepare(SCATTERED)?
            .query_map((SCATTERED_FOUND as i64, MOST_CONSUMERS_FOUND), |row| row.try_into())?
            .collect::<rusqlite::Result<Vec<(String, String, i32, i64)>>>()
    };
    for (consumer, topic, partition, ranges) in scattered().map_err(from_sqlite)? {
        diagnosis.found_scattered_claims(&consumer, &topic, partition, ranges.unsigned_abs());
    }
    Ok(())
}
