//! What topics were made with.

use std::sync::Arc;

use messagekit::log::TopicDefinition;
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Row};

use super::{record_ids, topics};
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
        ))
    };
    insert().map_err(from_sqlite)?;
    Ok(None)
}

/// Returns the definition of a topic.
pub(crate) fn find(conn: &Connection, name: &Arc<str>) -> Result<Option<TopicDefinition>, Error> {
    let read = |row: &Row<'_>| {
        Ok((
            row.get::<_, String>(2)?,
            TopicDefinition {
                name: name.clone(),
                schema: row.get(0)?,
                shape: row.get(1)?,
                dedup: Vec::new(),
                key: row.get(4)?,
                version: row.get(5)?,
                partitions: row.get(3)?,
            },
        ))
    };
    let found = conn
        .prepare_cached(
            "SELECT d.schema, d.shape, d.dedup, t.partitions, d.key, d.version
             FROM messagekit_topics t JOIN messagekit_topic_definitions d ON d.topic_id = t.id WHERE t.name = ?1",
        )
        .and_then(|mut select| select.query_row([&**name], read).optional())
        .map_err(from_sqlite)?;
    let Some((dedup, definition)) = found else { return Ok(None) };
    let dedup = serde_json::from_str(&dedup).map_err(|error| {
        Error::new(ErrorKind::Corrupt, "stored dedup rule cannot be read")
            .with("topic", name)
            .caused_by(error)
    })?;
    Ok(Some(TopicDefinition { dedup, ..definition }))
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
