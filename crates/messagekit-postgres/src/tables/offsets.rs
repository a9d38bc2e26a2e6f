//! How far a consumer has come in topics of any broker.

use std::sync::Arc;

use messagekit::{Error, NextOffset};
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Sorted, so that two batches never wait for each other; a position that is behind what is known changes nothing.
pub(crate) const ADVANCE: &str = r#"
INSERT INTO messagekit.consumer_offsets AS c (consumer, topic, partition, strand, next)
SELECT $1, b.topic, b.partition, b.strand, max(b.next)
FROM unnest($2::text[], $3::int[], $4::int[], $5::bigint[]) AS b (topic, partition, strand, next)
GROUP BY b.topic, b.partition, b.strand ORDER BY b.topic COLLATE "C", b.partition, b.strand
ON CONFLICT (consumer, topic, partition, strand) DO UPDATE SET next = GREATEST(c.next, excluded.next)"#;

pub(crate) const NEXT_OF: &str = "
SELECT partition, strand, next FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2
ORDER BY partition, strand";

/// Notes positions.
pub(crate) async fn advance(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    positions: &[NextOffset],
) -> Result<(), Error> {
    let topics: Vec<&str> = positions.iter().map(|position| &*position.topic).collect();
    let partitions: Vec<i32> = positions.iter().map(|position| position.partition).collect();
    let strands: Vec<i32> = positions.iter().map(|position| position.strand.cast_signed()).collect();
    let nexts: Vec<i64> = positions.iter().map(|position| position.next).collect();
    let upsert = sqlx::query(schema.sql(ADVANCE))
        .bind(consumer)
        .bind(topics)
        .bind(partitions)
        .bind(strands)
        .bind(nexts);
    upsert.execute(connection).await.map_err(from_sqlx)?;
    Ok(())
}

/// Returns the positions of a consumer in a topic, by partition and strand.
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
                strand: row.try_get::<i32, _>(1)?.cast_unsigned(),
                next: row.try_get(2)?,
            })
        })
        .collect::<Result<_, sqlx::Error>>()
        .map_err(from_sqlx)
}
