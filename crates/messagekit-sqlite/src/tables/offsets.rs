//! The next offsets of consumers in topics of any broker.

use std::sync::Arc;

use messagekit::adapter::NextOffset;
use rusqlite::{Connection, Result};

use super::names;

/// Stores positions; one behind the stored position changes nothing.
pub(crate) fn advance(conn: &Connection, consumer: i64, positions: &[NextOffset]) -> Result<()> {
    let mut upsert = conn.prepare_cached(
        "INSERT INTO messagekit_consumer_offsets AS o (consumer_id, topic_id, partition, key_lane, next)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (consumer_id, topic_id, partition, key_lane) DO UPDATE SET next = max(o.next, excluded.next)",
    )?;
    // Usually a batch has one topic.
    let mut last: Option<(&Arc<str>, i64)> = None;
    for position in positions {
        let topic = match last {
            Some((name, id)) if *name == position.topic => id,
            _ => names::topic(conn, &position.topic)?.id,
        };
        last = Some((&position.topic, topic));
        upsert.execute((consumer, topic, position.partition, position.key_lane, position.next))?;
    }
    Ok(())
}

/// Returns the positions of a consumer in a topic, by partition and key lane.
pub(crate) fn next_of(conn: &Connection, consumer: &str, topic: &str) -> Result<Vec<NextOffset>> {
    let topic: Arc<str> = Arc::from(topic);
    conn.prepare_cached(
        "SELECT o.partition, o.key_lane, o.next
         FROM messagekit_consumer_offsets o
         JOIN messagekit_consumers c ON c.id = o.consumer_id
         JOIN messagekit_topics t ON t.id = o.topic_id
         WHERE c.name = ?1 AND t.name = ?2 ORDER BY o.partition, o.key_lane",
    )?
    .query_map((consumer, &*topic), |row| {
        Ok(NextOffset {
            topic: topic.clone(),
            partition: row.get(0)?,
            key_lane: row.get(1)?,
            next: row.get(2)?,
        })
    })?
    .collect()
}
