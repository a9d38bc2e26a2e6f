//! The next form of the records of a topic.

use std::sync::Arc;

use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::log::{MigratedRecord, Swap, TopicDefinition};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Result};

use super::record_ids;
use super::topic_definitions::{self, to_json};
use super::topic_records::defined;
use crate::error::from_sqlite;

/// Removes what an earlier migration has left.
pub(crate) fn begin(conn: &Connection, name: &Arc<str>) -> std::result::Result<(), Error> {
    let topic = defined(conn, name)?;
    if topic.leaves {
        let text = "a relay publishes the topic: its readers know the form of its records, and a migration would not reach them";
        return Err(Error::new(ErrorKind::WrongState, text).with("topic", name));
    }
    clear(conn, topic.id).map_err(from_sqlite)
}

fn clear(conn: &Connection, topic: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM messagekit_topic_migrations WHERE topic_id = ?1")?
        .execute([topic])
        .map(drop)
}

/// Writes the next form of records.
pub(crate) fn stage(
    conn: &Connection,
    name: &Arc<str>,
    records: &[MigratedRecord],
) -> std::result::Result<(), Error> {
    let topic = defined(conn, name)?;
    for record in records {
        if record.payload.len() > MAX_PAYLOAD_BYTES {
            let text = "record in its new form is larger than the limit";
            return Err(Error::new(ErrorKind::TooLarge, text).with("topic", name).with("record", record.id));
        }
        let insert = || {
            let Some((_, pos)) = record_ids::position(conn, record.id)?.filter(|(of, _)| *of == topic.id)
            else {
                return Ok(());
            };
            conn.prepare_cached(
                "INSERT OR REPLACE INTO messagekit_topic_migrations (topic_id, pos, record_id, key, payload, hash)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((topic.id, pos, record.id, record.key.as_deref(), &*record.payload, &record.dedup_hash))
            .map(drop)
        };
        insert().map_err(from_sqlite)?;
    }
    Ok(())
}

/// Gives all records of a topic their next form.
pub(crate) fn swap(
    conn: &Connection,
    from: &TopicDefinition,
    to: &TopicDefinition,
    through: i64,
) -> std::result::Result<Swap, Error> {
    let topic = defined(conn, &from.name)?.id;
    if topic_definitions::find(conn, &from.name)?.as_ref() != Some(from) {
        let text = "topic was changed while it was migrated: open it again";
        return Err(Error::new(ErrorKind::Conflict, text).with("topic", &from.name));
    }
    let swap = || {
        if last_of(conn, topic)? > through {
            return Ok(Swap::Behind);
        }
        // A record that retention has deleted keeps its hash, as long as the rule is the same.
        conn.prepare_cached(
            "DELETE FROM messagekit_dedup_hashes WHERE topic_id = ?1
               AND (?2 OR record_id IN (SELECT record_id FROM messagekit_topic_migrations WHERE topic_id = ?1))",
        )?
        .execute((topic, from.dedup != to.dedup))?;
        if let Some((record, existing)) = equal_records(conn, topic)? {
            return Ok(Swap::Duplicate { record, existing });
        }
        replace(conn, topic, to)?;
        Ok(Swap::Done)
    };
    // A refusal has deleted hashes: only this part is undone, not the jobs beside it in the commit.
    conn.execute_batch("SAVEPOINT messagekit_swap").map_err(from_sqlite)?;
    let swapped = swap();
    let end = match swapped {
        Ok(Swap::Done) => "RELEASE messagekit_swap",
        _ => "ROLLBACK TO messagekit_swap; RELEASE messagekit_swap",
    };
    conn.execute_batch(end).map_err(from_sqlite)?;
    swapped.map_err(from_sqlite)
}

/// Returns the id of the last record of a topic.
fn last_of(conn: &Connection, topic: i64) -> Result<i64> {
    conn.prepare_cached(
        "SELECT coalesce((SELECT first_id + length - 1 FROM messagekit_record_ids WHERE topic_id = ?1 ORDER BY first_id DESC LIMIT 1), 0)",
    )?
    .query_row([topic], |row| row.get(0))
}

/// Returns two records that would have the same hash, the later one first.
fn equal_records(conn: &Connection, topic: i64) -> Result<Option<(i64, i64)>> {
    let pair = |sql: &str| {
        conn.prepare_cached(sql)?.query_row([topic], |row| Ok((row.get(0)?, row.get(1)?))).optional()
    };
    let among_them = pair(
        "SELECT max(record_id), min(record_id) FROM messagekit_topic_migrations
         WHERE topic_id = ?1 AND hash IS NOT NULL GROUP BY hash HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
    )?;
    match among_them {
        Some(pair) => Ok(Some(pair)),
        None => pair(
            "SELECT s.record_id, d.record_id FROM messagekit_topic_migrations s
             JOIN messagekit_dedup_hashes d ON d.topic_id = s.topic_id AND d.hash = s.hash WHERE s.topic_id = ?1 LIMIT 1",
        ),
    }
}

fn replace(conn: &Connection, topic: i64, to: &TopicDefinition) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO messagekit_dedup_hashes (topic_id, hash, record_id)
         SELECT topic_id, hash, record_id FROM messagekit_topic_migrations WHERE topic_id = ?1 AND hash IS NOT NULL",
    )?
    .execute([topic])?;
    conn.prepare_cached(
        "UPDATE messagekit_failed_messages SET payload = s.payload, key = s.key
         FROM messagekit_topic_migrations s JOIN messagekit_topic_records r ON r.pos = s.pos
         WHERE s.topic_id = ?1 AND message_id = r.event_id AND topic = ?2 AND state NOT IN ('resolved', 'discarded')",
    )?
    .execute((topic, &*to.name))?;
    conn.prepare_cached(
        "UPDATE messagekit_topic_records SET payload = s.payload, key = s.key
         FROM messagekit_topic_migrations s WHERE s.topic_id = ?1 AND messagekit_topic_records.pos = s.pos",
    )?
    .execute([topic])?;
    conn.prepare_cached(
        "UPDATE messagekit_topic_definitions SET schema = ?2, shape = ?3, dedup = ?4, key = ?5, version = version + 1
         WHERE topic_id = ?1",
    )?
    .execute((topic, &to.schema, &to.shape, to_json(&to.dedup), &to.key))?;
    clear(conn, topic)
}
