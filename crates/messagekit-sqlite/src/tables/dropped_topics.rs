//! Topics that are dropped, and what they leave.
//!
//! A dropped topic loses its name at once, in a short transaction. Its rows are deleted in pieces, and found by that name after a process
//! has died in between. SQLite gives the greatest number of a table again when its row is gone, so the row that has it stays.

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::check_unfed;
use rusqlite::{Connection, OptionalExtension, Result};

use super::topic_records::defined;
use super::topics::position;
use super::{delayed, names, retention, table_sources};
use crate::error::from_sqlite;

/// The most rows that one piece deletes: it holds the file's write lock for some milliseconds.
const PIECE: i64 = 1_000;
/// The bytes of records after which a piece ends.
const PIECE_BYTES: i64 = 4 * 1024 * 1024;

/// The rows of a dropped topic beside its records, by its number.
const OF_TOPIC: [&str; 4] = [
    "DELETE FROM messagekit_dedup_hashes WHERE topic_id = ?1 AND hash IN (
       SELECT hash FROM messagekit_dedup_hashes WHERE topic_id = ?1 LIMIT ?2)",
    "DELETE FROM messagekit_topic_migrations WHERE topic_id = ?1 AND (migration, pos) IN (
       SELECT migration, pos FROM messagekit_topic_migrations WHERE topic_id = ?1 LIMIT ?2)",
    // The last row of all says which id is next.
    "DELETE FROM messagekit_record_ids WHERE first_id IN (
       SELECT first_id FROM messagekit_record_ids WHERE topic_id = ?1
         AND first_id < (SELECT max(first_id) FROM messagekit_record_ids) LIMIT ?2)",
    "DELETE FROM messagekit_consumer_offsets WHERE topic_id = ?1 AND (consumer_id, partition, key_lane) IN (
       SELECT consumer_id, partition, key_lane FROM messagekit_consumer_offsets WHERE topic_id = ?1 LIMIT ?2)",
];

/// The places of consumers in its partitions.
const OF_PARTITIONS: [&str; 2] = [
    "DELETE FROM messagekit_record_claims WHERE tp_id IN (SELECT id FROM messagekit_topic_partitions WHERE topic_id = ?1)",
    "DELETE FROM messagekit_consumer_cursors WHERE tp_id IN (SELECT id FROM messagekit_topic_partitions WHERE topic_id = ?1)",
];

/// Its own rows, but for the greatest numbers.
const OWN: [&str; 2] = [
    "DELETE FROM messagekit_topic_partitions WHERE topic_id = ?1 AND id < (SELECT max(id) FROM messagekit_topic_partitions)",
    "DELETE FROM messagekit_topics WHERE id = ?1 AND id < (SELECT max(id) FROM messagekit_topics)
       AND NOT EXISTS (SELECT 1 FROM messagekit_topic_partitions p WHERE p.topic_id = ?1)",
];

/// Takes a topic its name, its definition, and the events that are not due yet. Refused while a table feeds it.
pub(crate) fn drop_topic(conn: &Connection, name: &str) -> std::result::Result<(), Error> {
    let topic = defined(conn, name)?;
    if is_unpublished(conn, &topic).map_err(from_sqlite)? {
        let text = "events of the topic are not published yet: let a relay publish them, or discard those that were rejected";
        return Err(Error::new(ErrorKind::WrongState, text).with("topic", name));
    }
    check_unfed(name, &table_sources::feeding(conn, name).map_err(from_sqlite)?)?;
    let run =
        |sql: &str, values: &[&dyn rusqlite::ToSql]| conn.prepare_cached(sql)?.execute(values).map(drop);
    let all = || -> Result<()> {
        run("DELETE FROM messagekit_outbox_delayed WHERE topic = ?1", &[&name])?;
        run("DELETE FROM messagekit_waiting_changes WHERE topic = ?1", &[&name])?;
        run("DELETE FROM messagekit_topic_definitions WHERE topic_id = ?1", &[&topic.id])?;
        run(
            "UPDATE messagekit_topics SET name = 'dropped:' || id || ':' || name, partitions = 0, leaves = 0 WHERE id = ?1",
            &[&topic.id],
        )
    };
    all().map_err(from_sqlite)
}

/// Returns whether a relay, or time, still keeps an event of the topic from its broker.
fn is_unpublished(conn: &Connection, topic: &names::Topic) -> Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_topic_partitions p JOIN messagekit_outbox_pending q
             ON q.pos >= p.id << 40 AND q.pos < (p.id + 1) << 40 WHERE p.topic_id = ?1)
           OR EXISTS (SELECT 1 FROM messagekit_topic_partitions p JOIN messagekit_outbox_rejected q
             ON q.pos >= p.id << 40 AND q.pos < (p.id + 1) << 40 WHERE p.topic_id = ?1)
           OR ?2 AND EXISTS (SELECT 1 FROM messagekit_outbox_delayed d JOIN messagekit_topics t ON t.name = d.topic
               WHERE t.id = ?1 AND d.due < ?3)",
    )?
    .query_row((topic.id, topic.leaves, delayed::NEVER), |row| row.get(0))
}

/// Deletes a piece of what dropped topics have left, and returns how many rows; 0 when nothing is left.
pub(crate) fn clear(conn: &Connection) -> std::result::Result<u64, Error> {
    let clear = || {
        let mut after = 0;
        while let Some(topic) = next_dropped(conn, after)? {
            let cleared = clear_topic(conn, topic)?;
            if cleared > 0 {
                return Ok(cleared);
            }
            after = topic;
        }
        Ok(0)
    };
    clear().map_err(from_sqlite)
}

/// No topic of a user has this name: a colon stands in none.
fn next_dropped(conn: &Connection, after: i64) -> Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT id FROM messagekit_topics WHERE name GLOB 'dropped:[0-9]*' AND name > 'dropped:' AND name < 'dropped;' AND id > ?1
         ORDER BY id LIMIT 1",
    )?
    .query_row([after], |row| row.get(0))
    .optional()
}

fn clear_topic(conn: &Connection, topic: i64) -> Result<u64> {
    let partitions: Vec<i64> = conn
        .prepare_cached("SELECT id FROM messagekit_topic_partitions WHERE topic_id = ?1 ORDER BY id")?
        .query_map([topic], |row| row.get(0))?
        .collect::<Result<_>>()?;
    for tp in partitions {
        let end: Option<i64> = conn
            .prepare_cached(
                "SELECT max(pos) + 1 FROM (
                   SELECT pos, sum(length(payload)) OVER (ORDER BY pos) - length(payload) AS bytes_before
                   FROM messagekit_topic_records WHERE pos >= ?1 AND pos < ?2 ORDER BY pos LIMIT ?3)
                 WHERE bytes_before <= ?4",
            )?
            .query_row((position(tp, 0), position(tp + 1, 0), PIECE, PIECE_BYTES), |row| row.get(0))?;
        if let Some(end) = end {
            return retention::delete_records(conn, tp, position(tp, 0), end);
        }
    }
    for statement in OF_TOPIC {
        match conn.prepare_cached(statement)?.execute((topic, PIECE))? {
            0 => {}
            rows => return Ok(rows as u64),
        }
    }
    let mut rows = 0;
    for statement in OF_PARTITIONS.into_iter().chain(OWN) {
        rows += conn.prepare_cached(statement)?.execute([topic])?;
    }
    Ok(rows as u64)
}
