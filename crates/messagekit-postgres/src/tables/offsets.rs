//! The next offsets of consumers in topics of any broker.

use std::cmp::Reverse;
use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::NextOffset;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Each position once and in order: one statement cannot update a row twice, and two batches never deadlock. A position
/// behind the stored one changes nothing.
pub(crate) const ADVANCE: &str = "
INSERT INTO messagekit.consumer_offsets AS c (consumer, topic, partition, key_lane, next)
SELECT $1, b.topic, b.partition, b.key_lane, b.next
FROM unnest($2::text[], $3::int[], $4::int[], $5::bigint[]) AS b (topic, partition, key_lane, next)
ON CONFLICT (consumer, topic, partition, key_lane) DO UPDATE SET next = GREATEST(c.next, excluded.next)";

pub(crate) const NEXT_OF: &str = "
SELECT partition, key_lane, next FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2
ORDER BY partition, key_lane";

/// Stores positions.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    positions: &[NextOffset],
) -> Result<(), Error> {
    // The furthest position of each partition and key lane comes first, and is kept.
    let mut furthest: Vec<&NextOffset> = positions.iter().collect();
    furthest.sort_unstable_by_key(|position| (place_of(position), Reverse(position.next)));
    furthest.dedup_by_key(|position| place_of(position));
    let topics: Vec<&str> = furthest.iter().map(|position| &*position.topic).collect();
    let partitions: Vec<i32> = furthest.iter().map(|position| position.partition).collect();
    let key_lanes: Vec<i32> = furthest.iter().map(|position| position.key_lane.cast_signed()).collect();
    let nexts: Vec<i64> = furthest.iter().map(|position| position.next).collect();
    let upsert = sqlx::query(schema.sql(ADVANCE))
        .bind(consumer)
        .bind(topics)
        .bind(partitions)
        .bind(key_lanes)
        .bind(nexts);
    upsert.execute(connection).await.map_err(from_sqlx)?;
    Ok(())
}

fn place_of(position: &NextOffset) -> (&str, i32, u32) {
    (&position.topic, position.partition, position.key_lane)
}

/// Returns the positions of a consumer in a topic, by partition and key lane.
pub(crate) async fn next_of(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<Vec<NextOffset>, Error> {
    let rows = sqlx::query(schema.sql(NEXT_OF)).bind(consumer).bind(topic).fetch_all(connection).await;
    let topic: Arc<str> = Arc::from(topic);
    rows.map_err(from_sqlx)?
        .iter()
        .map(|row| {
            Ok(NextOffset {
                topic: Arc::clone(&topic),
                partition: row.try_get(0)?,
                key_lane: row.try_get::<i32, _>(1)?.cast_unsigned(),
                next: row.try_get(2)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(from_sqlx)
}
