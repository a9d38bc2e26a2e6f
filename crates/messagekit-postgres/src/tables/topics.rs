//! Topics that this database keeps: what they were made with, and their partitions.

use std::sync::Arc;
use std::time::Duration;

use messagekit::log::Bounds;
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{RetentionRule, TopicDefinition};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

macro_rules! select {
    ($condition:expr) => {
        concat!(
            "
SELECT t.id, t.name, t.is_published, t.schema, t.shape, t.dedup, t.key, t.version, t.max_age, t.max_bytes, t.keep_unhandled,
  t.unhandled_max_age,
  (SELECT count(*) FROM messagekit.topic_partitions p WHERE p.topic_id = t.id)::int,
  (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL
FROM messagekit.topics t ",
            $condition
        )
    };
}

pub(crate) const FIND: &str = select!("WHERE t.name = ANY($1::text[])");

pub(crate) const ALL: &str = select!("ORDER BY t.name");

/// Does nothing when the topic is there.
pub(crate) const DEFINE: &str = "
WITH made AS (
  INSERT INTO messagekit.topics (name, is_published, schema, shape, dedup, key, max_age, max_bytes, keep_unhandled, unhandled_max_age)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING id),
divided AS (
  INSERT INTO messagekit.topic_partitions (topic_id, partition)
  SELECT made.id, n FROM made CROSS JOIN generate_series(0, $11 - 1) n)
SELECT count(*) FROM made";

pub(crate) const KEEP: &str = "SELECT messagekit.keep_topics()::text";

pub(crate) const REPLACE_SCHEMA: &str = "
UPDATE messagekit.topics SET schema = $2, shape = $3
WHERE name = $1 AND schema IS NOT DISTINCT FROM $4 AND shape IS NOT DISTINCT FROM $5";

pub(crate) const SET_RETENTION: &str = "
UPDATE messagekit.topics SET max_age = $2, max_bytes = $3, keep_unhandled = $4, unhandled_max_age = $5 WHERE name = $1";

/// In the order in which every statement locks them.
pub(crate) const PARTITIONS: &str = "
SELECT id, partition, log_start, next_offset, bytes, version FROM messagekit.topic_partitions WHERE topic_id = $1 ORDER BY partition";

/// As [`PARTITIONS`], held until the transaction ends: no other one gives offsets in the topic meanwhile. A statement that has waited for
/// them sees what the other transaction has left.
pub(crate) const HOLD_PARTITIONS: &str = "
SELECT id, partition, log_start, next_offset, bytes, version FROM messagekit.topic_partitions WHERE topic_id = $1 ORDER BY partition
FOR NO KEY UPDATE";

/// A topic of this database.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    pub(crate) id: i32,
    pub(crate) is_published: bool,
    /// Events wait for an offset in it, as of the statement that has read it.
    pub(crate) has_waiting: bool,
    pub(crate) definition: TopicDefinition,
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partition {
    pub(crate) tp: i32,
    pub(crate) partition: i32,
    pub(crate) log_start: i64,
    pub(crate) next_offset: i64,
    pub(crate) bytes: i64,
    /// The version of its topic.
    pub(crate) version: u32,
}

impl Partition {
    /// Returns it as readers of the log see it.
    pub(crate) fn bounds(self) -> Bounds {
        Bounds { partition: self.partition, earliest: self.log_start, end: self.next_offset }
    }
}

/// Returns the topics of some names, sorted by the order in which their partitions are held.
pub(crate) async fn find_all(
    connection: &mut PgConnection,
    schema: &SchemaName,
    names: &[&str],
) -> Result<Vec<Topic>, Error> {
    let rows = sqlx::query(schema.sql(FIND)).bind(names).fetch_all(connection).await.map_err(from_sqlx)?;
    let mut topics = rows.iter().map(topic).collect::<Result<Vec<_>, _>>().map_err(from_sqlx)?;
    topics.sort_unstable_by_key(|topic| topic.id);
    Ok(topics)
}

/// Returns the topic of a name, if this database keeps it.
pub(crate) async fn find(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
) -> Result<Option<Topic>, Error> {
    Ok(find_all(connection, schema, &[name]).await?.pop())
}

/// Returns the topic of a name.
pub(crate) async fn kept(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
) -> Result<Topic, Error> {
    find(connection, schema, name).await?.ok_or_else(|| no_topic(name))
}

pub(crate) fn no_topic(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, "database keeps no such topic: create it first").with("topic", name)
}

/// Returns all topics, sorted by name.
pub(crate) async fn all(connection: &mut PgConnection, schema: &SchemaName) -> Result<Vec<Topic>, Error> {
    let rows = sqlx::query(schema.sql(ALL)).fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(topic).collect::<Result<_, _>>().map_err(from_sqlx)
}

fn topic(row: &PgRow) -> Result<Topic, sqlx::Error> {
    let age: Option<i64> = row.try_get(8)?;
    let bytes: Option<i64> = row.try_get(9)?;
    let unhandled: Option<i64> = row.try_get(11)?;
    let duration = |micros: i64| Duration::from_micros(micros.unsigned_abs());
    let rule = RetentionRule {
        max_age: age.map(duration),
        max_bytes: bytes.map(i64::unsigned_abs),
        keep_unhandled: row.try_get(10)?,
        unhandled_max_age: unhandled.map(duration),
    };
    let is_rule = rule.max_age.is_some() || rule.max_bytes.is_some() || rule.keep_unhandled;
    let is_published = row.try_get(2)?;
    Ok(Topic {
        id: row.try_get(0)?,
        is_published,
        has_waiting: row.try_get(13)?,
        definition: TopicDefinition {
            id: i64::from(row.try_get::<i32, _>(0)?),
            name: Arc::from(row.try_get::<&str, _>(1)?),
            schema: row.try_get(3)?,
            shape: row.try_get(4)?,
            dedup: row.try_get(5)?,
            key: row.try_get(6)?,
            partitions: row.try_get::<i32, _>(12)?.unsigned_abs(),
            version: row.try_get::<i32, _>(7)?.unsigned_abs(),
            retention: is_rule.then_some(rule),
            is_published,
        },
    })
}

/// Makes a topic, and returns whether it was missing.
pub(crate) async fn define(
    connection: &mut PgConnection,
    schema: &SchemaName,
    definition: &TopicDefinition,
) -> Result<bool, Error> {
    let (age, bytes, keep, unhandled) = columns(definition.retention);
    let define = sqlx::query_scalar(schema.sql(DEFINE))
        .bind(&*definition.name)
        .bind(definition.is_published)
        .bind(&definition.schema)
        .bind(&definition.shape)
        .bind(&definition.dedup)
        .bind(&definition.key)
        .bind(age)
        .bind(bytes)
        .bind(keep)
        .bind(unhandled)
        .bind(super::count(definition.partitions));
    let made: i64 = define.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    if made > 0 {
        sqlx::query(schema.sql(KEEP)).execute(connection).await.map_err(from_sqlx)?;
    }
    Ok(made > 0)
}

/// Replaces a schema, and returns whether it was the expected one.
pub(crate) async fn replace_schema(
    connection: &mut PgConnection,
    schema: &SchemaName,
    from: &TopicDefinition,
    to: &TopicDefinition,
) -> Result<bool, Error> {
    let replace = sqlx::query(schema.sql(REPLACE_SCHEMA))
        .bind(&*from.name)
        .bind(&to.schema)
        .bind(&to.shape)
        .bind(&from.schema)
        .bind(&from.shape);
    Ok(replace.execute(connection).await.map_err(from_sqlx)?.rows_affected() == 1)
}

/// Sets how long a topic keeps its records.
pub(crate) async fn set_retention(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
    rule: Option<RetentionRule>,
) -> Result<(), Error> {
    let (age, bytes, keep, unhandled) = columns(rule);
    let set =
        sqlx::query(schema.sql(SET_RETENTION)).bind(name).bind(age).bind(bytes).bind(keep).bind(unhandled);
    match set.execute(connection).await.map_err(from_sqlx)?.rows_affected() {
        0 => Err(no_topic(name)),
        _ => Ok(()),
    }
}

/// The rule as columns. It was checked to be in their range.
fn columns(rule: Option<RetentionRule>) -> (Option<i64>, Option<i64>, bool, Option<i64>) {
    let micros = |age: Duration| i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
    let age = rule.and_then(|rule| rule.max_age).map(micros);
    let unhandled = rule.and_then(|rule| rule.unhandled_max_age).map(micros);
    let bytes = rule.and_then(|rule| rule.max_bytes).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
    (age, bytes, rule.is_some_and(|rule| rule.keep_unhandled), unhandled)
}

/// Returns the partitions of a topic, in order.
pub(crate) async fn partitions(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: i32,
) -> Result<Vec<Partition>, Error> {
    partitions_by(connection, schema, PARTITIONS, topic).await
}

/// As [`partitions`]; no other transaction gives offsets in the topic until this one ends. None are left of a topic that was dropped while
/// this was waited for.
pub(crate) async fn hold_partitions(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: i32,
) -> Result<Vec<Partition>, Error> {
    let held = partitions_by(connection, schema, HOLD_PARTITIONS, topic).await?;
    if held.is_empty() {
        return Err(Error::new(ErrorKind::NotFound, "topic was dropped"));
    }
    Ok(held)
}

async fn partitions_by(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statement: &'static str,
    topic: i32,
) -> Result<Vec<Partition>, Error> {
    let rows = sqlx::query(schema.sql(statement)).bind(topic).fetch_all(connection).await;
    let partition = |row: &PgRow| {
        Ok(Partition {
            tp: row.try_get(0)?,
            partition: row.try_get(1)?,
            log_start: row.try_get(2)?,
            next_offset: row.try_get(3)?,
            bytes: row.try_get(4)?,
            version: row.try_get::<i32, _>(5)?.unsigned_abs(),
        })
    };
    let rows = rows.map_err(from_sqlx)?;
    rows.iter().map(partition).collect::<Result<_, sqlx::Error>>().map_err(from_sqlx)
}
