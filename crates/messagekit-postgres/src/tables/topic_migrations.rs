//! The next form of the records of a topic.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{
    MigratedRecord, Swap, TopicDefinition, check_migratable, check_unchanged, migration_was_replaced,
};
use sqlx::{PgConnection, Row};

use super::topics::{self, Topic};
use super::{record_claims, waiting};
use crate::SchemaName;
use crate::error::from_sqlx;

pub(crate) const CLEAR_STAGED: &str = "DELETE FROM messagekit.topic_migrations WHERE topic_id = $1";

/// Passes over records that were deleted meanwhile.
pub(crate) const STAGE: &str = "
INSERT INTO messagekit.topic_migrations (topic_id, migration, record_id, key, hash, payload)
SELECT $1, $2, n.id, n.key, n.hash, n.payload
FROM unnest($3::bigint[], $4::text[], $5::text[], $6::bytea[]) n (id, key, hash, payload)
WHERE (SELECT true FROM messagekit.topic_records r WHERE r.topic_id = $1 AND r.id = n.id)
ON CONFLICT (topic_id, migration, record_id) DO UPDATE
  SET key = excluded.key, hash = excluded.hash, payload = excluded.payload";

/// The last record of a topic, and whether one has no next form.
pub(crate) const STAGED: &str = "
SELECT coalesce(max(r.id), 0), coalesce(bool_or(s.record_id IS NULL), false) FROM messagekit.topic_records r
  LEFT JOIN messagekit.topic_migrations s ON s.topic_id = r.topic_id AND s.migration = $2 AND s.record_id = r.id
WHERE r.topic_id = $1";

/// A record that was deleted keeps its hash, as long as the rule is the same.
pub(crate) const CLEAR_HASHES: &str = "
DELETE FROM messagekit.topic_dedup_hashes h WHERE h.topic_id = $1 AND ($3 OR h.record_id IN (
  SELECT s.record_id FROM messagekit.topic_migrations s WHERE s.topic_id = $1 AND s.migration = $2))";

/// Two records that would have the same hash, the later one first.
pub(crate) const EQUAL_RECORDS: &str = "
(SELECT max(record_id), min(record_id) FROM messagekit.topic_migrations
 WHERE topic_id = $1 AND migration = $2 AND hash IS NOT NULL GROUP BY hash HAVING count(*) > 1 ORDER BY 1 LIMIT 1)
UNION ALL
(SELECT s.record_id, h.record_id FROM messagekit.topic_migrations s
   JOIN messagekit.topic_dedup_hashes h ON h.topic_id = s.topic_id AND h.hash = s.hash
 WHERE s.topic_id = $1 AND s.migration = $2 LIMIT 1)
LIMIT 1";

/// Replaces the hashes of records, their copies in open failed messages, and the records themselves.
pub(crate) const SWAP: [&str; 3] = [
    "
INSERT INTO messagekit.topic_dedup_hashes (topic_id, hash, record_id)
SELECT topic_id, hash, record_id FROM messagekit.topic_migrations WHERE topic_id = $1 AND migration = $2 AND hash IS NOT NULL",
    "
UPDATE messagekit.failed_messages f SET payload = s.payload, key = convert_to(s.key, 'UTF8')
FROM messagekit.topic_records r
  JOIN messagekit.topic_migrations s ON s.topic_id = r.topic_id AND s.migration = $2 AND s.record_id = r.id
WHERE r.topic_id = $1 AND f.message_id = r.event_id AND f.topic = (SELECT t.name FROM messagekit.topics t WHERE t.id = $1)
  AND f.state NOT IN ('resolved', 'discarded')",
    "
UPDATE messagekit.topic_records r SET payload = s.payload, key = s.key FROM messagekit.topic_migrations s
WHERE r.topic_id = $1 AND s.topic_id = $1 AND s.migration = $2 AND s.record_id = r.id",
];

/// Counts the bytes of the partitions again, and notes the new version.
pub(crate) const RECOUNT: &str = "
UPDATE messagekit.topic_partitions p SET version = p.version + 1, bytes = coalesce((
  SELECT sum(octet_length(r.payload) + coalesce(octet_length(r.key), 0))
  FROM messagekit.topic_records r WHERE r.tp_id = p.id), 0)
WHERE p.topic_id = $1";

pub(crate) const REDEFINE: &str = "
UPDATE messagekit.topics SET schema = $2, shape = $3, dedup = $4, key = $5, version = version + 1 WHERE id = $1";

/// Removes what an earlier migration has left.
pub(crate) async fn begin(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
) -> Result<(), Error> {
    let topic = migratable(connection, schema, name).await?;
    sqlx::query(schema.sql(CLEAR_STAGED)).bind(topic.id).execute(connection).await.map_err(from_sqlx)?;
    Ok(())
}

/// Returns a topic that stays in this database, and of which no worker holds records.
async fn migratable(connection: &mut PgConnection, schema: &SchemaName, name: &str) -> Result<Topic, Error> {
    let topic = topics::kept(connection, schema, name).await?;
    check_migratable(name, record_claims::is_held(connection, schema, &topic).await?, topic.is_published)?;
    Ok(topic)
}

/// Writes the next form of records.
pub(crate) async fn stage(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    migration: &str,
    records: &[MigratedRecord],
) -> Result<(), Error> {
    let named = |kind, text: &'static str, id: i64| {
        Error::new(kind, text).with("topic", &topic.definition.name).with("record", id)
    };
    let mut keys = Vec::with_capacity(records.len());
    for record in records {
        record.check(&topic.definition.name)?;
        let key = record.key.as_deref().map(std::str::from_utf8).transpose();
        keys.push(key.map_err(|_| named(ErrorKind::InvalidEvent, "key is not UTF-8", record.id))?);
    }
    let stage = sqlx::query(schema.sql(STAGE))
        .bind(topic.id)
        .bind(migration)
        .bind(records.iter().map(|record| record.id).collect::<Vec<_>>())
        .bind(keys)
        .bind(records.iter().map(|record| record.dedup_hash.as_deref()).collect::<Vec<_>>())
        .bind(records.iter().map(|record| &*record.payload).collect::<Vec<_>>());
    stage.execute(connection).await.map_err(from_sqlx).map(drop)
}

/// Gives all records of a topic their next form. Any answer but [`Swap::Done`] must be rolled back.
pub(crate) async fn swap(
    connection: &mut PgConnection,
    schema: &SchemaName,
    migration: &str,
    (from, to): (&TopicDefinition, &TopicDefinition),
    through: i64,
) -> Result<Swap, Error> {
    let topic = migratable(connection, schema, &from.name).await?;
    // What waits is a record that has no next form.
    waiting::sequence(connection, schema, &topic).await?;
    topics::hold_partitions(connection, schema, topic.id).await?;
    check_unchanged(from, Some(&topics::kept(connection, schema, &from.name).await?.definition))?;
    let staged = sqlx::query(schema.sql(STAGED)).bind(topic.id).bind(migration);
    let row = staged.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    if row.try_get::<i64, _>(0).map_err(from_sqlx)? > through {
        return Ok(Swap::Behind);
    }
    if row.try_get::<bool, _>(1).map_err(from_sqlx)? {
        return Err(migration_was_replaced(&from.name));
    }
    let clear = sqlx::query(schema.sql(CLEAR_HASHES)).bind(topic.id).bind(migration);
    clear.bind(from.dedup != to.dedup).execute(&mut *connection).await.map_err(from_sqlx)?;
    let equal = sqlx::query(schema.sql(EQUAL_RECORDS)).bind(topic.id).bind(migration);
    if let Some(row) = equal.fetch_optional(&mut *connection).await.map_err(from_sqlx)? {
        let (record, existing) = (row.try_get(0).map_err(from_sqlx)?, row.try_get(1).map_err(from_sqlx)?);
        return Ok(Swap::Duplicate { record, existing });
    }
    for statement in SWAP {
        let swap = sqlx::query(schema.sql(statement)).bind(topic.id).bind(migration);
        swap.execute(&mut *connection).await.map_err(from_sqlx)?;
    }
    for statement in [RECOUNT, CLEAR_STAGED] {
        let end = sqlx::query(schema.sql(statement)).bind(topic.id);
        end.execute(&mut *connection).await.map_err(from_sqlx)?;
    }
    let redefine = sqlx::query(schema.sql(REDEFINE))
        .bind(topic.id)
        .bind(&to.schema)
        .bind(&to.shape)
        .bind(&to.dedup)
        .bind(&to.key);
    redefine.execute(connection).await.map_err(from_sqlx)?;
    Ok(Swap::Done)
}
