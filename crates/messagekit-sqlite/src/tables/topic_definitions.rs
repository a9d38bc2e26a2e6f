//! What topics were made with.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::TopicDefinition;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{record_ids, retention, retention_rule, topics};
use crate::error::from_sqlite;

/// Defines a topic, or returns the definition that it has.
pub(crate) fn define(
    conn: &Connection,
    definition: &TopicDefinition,
    now: i64,
) -> Result<Option<TopicDefinition>, Error> {
    if let Some(known) = find(conn, &definition.name)? {
        return Ok(Some(known));
    }
    let insert = || {
        let topic = topics::ensure(conn, &definition.name, definition.partitions)?;
        record_ids::add_existing(conn, topic.id)?;
        if definition.is_published {
            topics::declare(conn, &[definition.name.to_string()], true)?;
        }
        conn.prepare_cached(
            "INSERT INTO messagekit_topic_definitions (topic_id, schema, shape, dedup, key, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute((
            topic.id,
            &definition.schema,
            &definition.shape,
            to_json(&definition.dedup),
            &definition.key,
            now,
        ))?;
        retention::set(conn, topic.id, definition.retention)
    };
    insert().map_err(from_sqlite)?;
    Ok(None)
}

/// The columns of a definition; the list of dedup fields is decoded apart.
const SELECT: &str = "SELECT t.name, d.schema, d.shape, d.dedup, d.key, t.partitions, d.version, d.max_age, d.max_bytes, d.keep_unhandled,
       d.unhandled_max_age, t.leaves, t.id
     FROM messagekit_topics t JOIN messagekit_topic_definitions d ON d.topic_id = t.id";

/// Returns the definition of a topic.
pub(crate) fn find(conn: &Connection, name: &str) -> Result<Option<TopicDefinition>, Error> {
    let found = conn
        .prepare_cached(&format!("{SELECT} WHERE t.name = ?1"))
        .and_then(|mut select| select.query_row([name], read).optional())
        .map_err(from_sqlite)?;
    found.map(decoded).transpose()
}

/// Returns the definitions of all topics, sorted by name.
pub(crate) fn all(conn: &Connection) -> Result<Vec<TopicDefinition>, Error> {
    let found: Vec<_> = conn
        .prepare_cached(&format!("{SELECT} ORDER BY t.name"))
        .and_then(|mut select| select.query_map([], read)?.collect())
        .map_err(from_sqlite)?;
    found.into_iter().map(decoded).collect()
}

fn read(row: &Row<'_>) -> rusqlite::Result<(String, TopicDefinition)> {
    let definition = TopicDefinition {
        id: row.get(12)?,
        name: row.get::<_, String>(0)?.into(),
        schema: row.get(1)?,
        shape: row.get(2)?,
        dedup: Vec::new(),
        key: row.get(4)?,
        partitions: row.get(5)?,
        version: row.get(6)?,
        retention: retention_rule::read(row, 7)?,
        is_published: row.get(11)?,
    };
    Ok((row.get(3)?, definition))
}

fn decoded((dedup, definition): (String, TopicDefinition)) -> Result<TopicDefinition, Error> {
    let dedup = serde_json::from_str(&dedup).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored dedup rule cannot be read")
            .with("topic", &definition.name)
            .caused_by(error)
    })?;
    Ok(TopicDefinition { dedup, ..definition })
}

/// Replaces a schema, if it is still the expected one.
pub(crate) fn replace_schema(
    conn: &Connection,
    from: &TopicDefinition,
    to: &TopicDefinition,
) -> rusqlite::Result<bool> {
    let replaced = conn
        .prepare_cached(
            "UPDATE messagekit_topic_definitions SET schema = ?2, shape = ?3
             WHERE topic_id = (SELECT id FROM messagekit_topics WHERE name = ?1) AND schema IS ?4 AND shape IS ?5",
        )?
        .execute((&*from.name, &to.schema, &to.shape, &from.schema, &from.shape))?;
    Ok(replaced == 1)
}

pub(super) fn to_json(fields: &[String]) -> String {
    serde_json::Value::from(fields).to_string()
}
