//! The next form of the records of a topic.

use std::sync::Arc;

use messagekit::{Error, crash};
use messagekit_topic_store::{
    MigratedRecord, Swap, TopicDefinition, check_migratable, check_unchanged, migration_was_replaced,
};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::topic_definitions::{self, to_json};
use super::topic_records::defined;
use super::{dedup_hash, now, record_claims, record_ids, retention};
use crate::error::from_sqlite;

/// Removes what an earlier migration has left.
pub(crate) fn begin(conn: &Connection, name: &Arc<str>) -> std::result::Result<(), Error> {
    let topic = migratable(conn, name)?;
    clear(conn, topic).map_err(from_sqlite)
}

/// Returns the number of a topic that stays in this file, and of which no worker holds records.
fn migratable(conn: &Connection, name: &Arc<str>) -> std::result::Result<i64, Error> {
    let topic = defined(conn, name)?;
    check_migratable(name, record_claims::is_held(conn, topic.id, now())?, topic.leaves)?;
    Ok(topic.id)
}

fn clear(conn: &Connection, topic: i64) -> Result<()> {
    conn.prepare_cached("DELETE FROM messagekit_topic_migrations WHERE topic_id = ?1")?
        .execute([topic])
        .map(drop)
}

/// The most rows that one piece deletes: it holds the file's write lock for some milliseconds.
const PIECE: i64 = 1_000;

/// Returns the number of a topic.
pub(crate) fn number(conn: &Connection, name: &Arc<str>) -> std::result::Result<i64, Error> {
    Ok(defined(conn, name)?.id)
}

/// Returns the topics with records in a next form.
pub(crate) fn staged(conn: &Connection) -> std::result::Result<Vec<(i64, String)>, Error> {
    let all = || {
        conn.prepare_cached(
            "SELECT t.id, t.name FROM messagekit_topic_definitions d JOIN messagekit_topics t ON t.id = d.topic_id
             WHERE EXISTS (SELECT 1 FROM messagekit_topic_migrations s WHERE s.topic_id = d.topic_id)",
        )?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<Vec<_>>>()
    };
    all().map_err(from_sqlite)
}

/// Deletes some records of a topic in their next form, and returns how many; 0 when there are no more.
pub(crate) fn clear_piece(conn: &Connection, topic: i64) -> std::result::Result<u64, Error> {
    let clear = || {
        conn.prepare_cached(
            "DELETE FROM messagekit_topic_migrations WHERE topic_id = ?1 AND (migration, pos) IN (
               SELECT migration, pos FROM messagekit_topic_migrations WHERE topic_id = ?1 LIMIT ?2)",
        )?
        .execute((topic, PIECE))
    };
    clear().map(|rows| rows as u64).map_err(from_sqlite)
}

/// Writes the next form of records.
pub(crate) fn stage(
    conn: &Connection,
    name: &Arc<str>,
    migration: &str,
    records: &[MigratedRecord],
) -> std::result::Result<(), Error> {
    let topic = defined(conn, name)?.id;
    for record in records {
        record.check(name)?;
        stage_one(conn, topic, migration, record).map_err(from_sqlite)?;
    }
    Ok(())
}

fn stage_one(conn: &Connection, topic: i64, migration: &str, record: &MigratedRecord) -> Result<()> {
    let found = record_ids::position(conn, record.id)?.filter(|(of, _)| *of == topic);
    let Some((_, pos)) = found else { return Ok(()) };
    let hash = record.dedup_hash.as_deref().map(dedup_hash::bytes);
    conn.prepare_cached(
        "INSERT OR REPLACE INTO messagekit_topic_migrations (topic_id, migration, pos, record_id, key, payload, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?
    .execute((topic, migration, pos, record.id, record.key.as_deref(), &*record.payload, hash))
    .map(drop)
}

/// Gives all records of a topic their next form.
pub(crate) fn swap(
    conn: &Connection,
    migration: &str,
    from: &TopicDefinition,
    to: &TopicDefinition,
    through: i64,
) -> std::result::Result<Swap, Error> {
    let topic = migratable(conn, &from.name)?;
    check_unchanged(from, topic_definitions::find(conn, &from.name)?.as_ref())?;
    if last_of(conn, topic).map_err(from_sqlite)? > through {
        return Ok(Swap::Behind);
    }
    if unstaged(conn, topic, migration).map_err(from_sqlite)? {
        return Err(migration_was_replaced(&from.name));
    }
    let next = Next { topic, migration, rule_changes: from.dedup != to.dedup };
    // A refusal has deleted hashes: only this part is undone, not the jobs beside it in the commit.
    conn.execute_batch("SAVEPOINT messagekit_swap").map_err(from_sqlite)?;
    let swapped = next.swap(conn, to);
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

/// Returns whether the topic has a record without a next form.
fn unstaged(conn: &Connection, topic: i64, migration: &str) -> Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (
           SELECT 1 FROM messagekit_topic_partitions p
           CROSS JOIN messagekit_topic_records r ON r.pos >= p.id << 40 AND r.pos < (p.id + 1) << 40
           WHERE p.topic_id = ?1 AND NOT EXISTS (
             SELECT 1 FROM messagekit_topic_migrations s WHERE s.topic_id = ?1 AND s.migration = ?2 AND s.pos = r.pos))",
    )?
    .query_row((topic, migration), |row| row.get(0))
}

/// The records of a migration in their next form.
struct Next<'a> {
    topic: i64,
    migration: &'a str,
    rule_changes: bool,
}

impl Next<'_> {
    fn swap(&self, conn: &Connection, to: &TopicDefinition) -> Result<Swap> {
        // A record that was deleted keeps its hash, as long as the rule is the same.
        conn.prepare_cached(
            "DELETE FROM messagekit_dedup_hashes WHERE topic_id = ?1 AND (?3 OR record_id IN (
               SELECT record_id FROM messagekit_topic_migrations WHERE topic_id = ?1 AND migration = ?2))",
        )?
        .execute((self.topic, self.migration, self.rule_changes))?;
        if let Some((record, existing)) = self.equal_records(conn)? {
            return Ok(Swap::Duplicate { record, existing });
        }
        self.replace(conn, to)?;
        Ok(Swap::Done)
    }

    /// Returns two records that would have the same hash, the later one first.
    fn equal_records(&self, conn: &Connection) -> Result<Option<(i64, i64)>> {
        let pair = |sql: &str| {
            let row = |row: &Row<'_>| Ok((row.get(0)?, row.get(1)?));
            conn.prepare_cached(sql)?.query_row((self.topic, self.migration), row).optional()
        };
        let among_them = pair(
            "SELECT max(record_id), min(record_id) FROM messagekit_topic_migrations
             WHERE topic_id = ?1 AND migration = ?2 AND hash IS NOT NULL GROUP BY hash HAVING count(*) > 1 ORDER BY 1 LIMIT 1",
        )?;
        match among_them {
            Some(pair) => Ok(Some(pair)),
            None => pair(
                "SELECT s.record_id, d.record_id FROM messagekit_topic_migrations s
                 JOIN messagekit_dedup_hashes d ON d.topic_id = s.topic_id AND d.hash = s.hash
                 WHERE s.topic_id = ?1 AND s.migration = ?2 LIMIT 1",
            ),
        }
    }

    fn replace(&self, conn: &Connection, to: &TopicDefinition) -> Result<()> {
        conn.prepare_cached(
            "INSERT INTO messagekit_dedup_hashes (topic_id, hash, record_id)
             SELECT topic_id, hash, record_id FROM messagekit_topic_migrations
             WHERE topic_id = ?1 AND migration = ?2 AND hash IS NOT NULL",
        )?
        .execute((self.topic, self.migration))?;
        // There are few failed messages: each looks for its record, not each record for its failed messages.
        conn.prepare_cached(
            "WITH next AS MATERIALIZED (
               SELECT f.id, s.key, s.payload FROM messagekit_failed_messages f
               CROSS JOIN messagekit_topic_records r ON r.event_id = f.message_id
               CROSS JOIN messagekit_topic_migrations s ON s.topic_id = ?1 AND s.migration = ?2 AND s.pos = r.pos
               WHERE f.topic = ?3 AND f.state NOT IN ('resolved', 'discarded'))
             UPDATE messagekit_failed_messages SET payload = next.payload, key = next.key
             FROM next WHERE next.id = messagekit_failed_messages.id",
        )?
        .execute((self.topic, self.migration, &*to.name))?;
        conn.prepare_cached(
            "UPDATE messagekit_topic_records SET payload = s.payload, key = s.key FROM messagekit_topic_migrations s
             WHERE s.topic_id = ?1 AND s.migration = ?2 AND messagekit_topic_records.pos = s.pos",
        )?
        .execute((self.topic, self.migration))?;
        conn.prepare_cached(
            "UPDATE messagekit_topic_definitions SET schema = ?2, shape = ?3, dedup = ?4, key = ?5, version = version + 1
             WHERE topic_id = ?1",
        )?
        .execute((self.topic, &to.schema, &to.shape, to_json(&to.dedup), &to.key))?;
        retention::recount(conn, self.topic)?;
        clear(conn, self.topic)?;
        crash::point("migration.swapped");
        Ok(())
    }
}
