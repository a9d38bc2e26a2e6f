//! Records of defined topics: appending and retention.

use std::sync::Arc;

use messagekit::{Error, ErrorKind};
use messagekit_topic_store::{AppendedRecord, NewRecord, OnDuplicate, RetentionRule};
use rusqlite::{Connection, OptionalExtension};

use super::names::{self, Topic};
use super::{append, dedup_hash, record_ids, retention, topics};
use crate::error::from_sqlite;

/// The most records of a partition that one call deletes.
const EXPIRE_STEP: u32 = 1_000;

/// What an append did.
pub(crate) struct Outcome {
    pub(crate) records: Vec<AppendedRecord>,
    /// At least one record is for a relay.
    pub(crate) leaves: bool,
}

/// Appends records in order, and returns what became of each. What is refused has written nothing.
pub(crate) fn append(
    conn: &Connection,
    records: &[NewRecord],
    on_duplicate: OnDuplicate,
    now: i64,
) -> Result<Outcome, Error> {
    let mut topics = DefinedTopics::default();
    for record in records {
        let topic = topics.get(conn, &record.message.topic)?;
        record.check_topic(topic.id, topic.version)?;
        record.message.check()?;
    }
    let mut id = record_ids::next(conn).map_err(from_sqlite)?;
    let (mut outcomes, mut taken) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
    for (index, record) in records.iter().enumerate() {
        let known = match &record.dedup_hash {
            Some(hash) => {
                let topic = topics.get(conn, &record.message.topic)?;
                take_hash(conn, topic.id, hash, id).map_err(from_sqlite)?
            }
            None => None,
        };
        match known {
            Some(existing) => {
                outcomes.push(AppendedRecord::Duplicate(existing));
                if on_duplicate == OnDuplicate::Refuse {
                    give_hashes_back(conn, &mut topics, &records[..index])?;
                    return Ok(Outcome { records: outcomes, leaves: false });
                }
            }
            None => {
                outcomes.push(AppendedRecord::Appended(id));
                taken.push(record.message.clone());
                id += 1;
            }
        }
    }
    let appended = append::append(conn, &taken, 1, now)?;
    Ok(Outcome { records: outcomes, leaves: appended.leaves })
}

/// Removes the hashes of records that were not appended after all.
fn give_hashes_back<'a>(
    conn: &Connection,
    topics: &mut DefinedTopics<'a>,
    records: &'a [NewRecord],
) -> Result<(), Error> {
    for record in records {
        let Some(hash) = &record.dedup_hash else { continue };
        let topic = topics.get(conn, &record.message.topic)?;
        conn.prepare_cached("DELETE FROM messagekit_dedup_hashes WHERE topic_id = ?1 AND hash = ?2")
            .and_then(|mut delete| delete.execute((topic.id, dedup_hash::bytes(hash))))
            .map_err(from_sqlite)?;
    }
    Ok(())
}

/// Notes a dedup hash, or returns the record that has it.
fn take_hash(conn: &Connection, topic: i64, hash: &str, id: i64) -> rusqlite::Result<Option<i64>> {
    let hash = dedup_hash::bytes(hash);
    let inserted = conn
        .prepare_cached(
            "INSERT INTO messagekit_dedup_hashes (topic_id, hash, record_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute((topic, &hash, id))?;
    if inserted == 1 {
        return Ok(None);
    }
    conn.prepare_cached("SELECT record_id FROM messagekit_dedup_hashes WHERE topic_id = ?1 AND hash = ?2")?
        .query_row((topic, &hash), |row| row.get(0))
        .optional()
}

/// The rows of the topics that were asked for: a pipeline appends to a few of them in turns.
#[derive(Default)]
struct DefinedTopics<'a>(Vec<(&'a Arc<str>, Topic)>);

impl<'a> DefinedTopics<'a> {
    fn get(&mut self, conn: &Connection, name: &'a Arc<str>) -> Result<Topic, Error> {
        if let Some((_, topic)) = self.0.iter().find(|(known, _)| *known == name) {
            return Ok(*topic);
        }
        let topic = defined(conn, name)?;
        self.0.push((name, topic));
        Ok(topic)
    }
}

/// Returns the row of a defined topic.
pub(super) fn defined(conn: &Connection, name: &str) -> Result<Topic, Error> {
    let known = names::known_topic(conn, name).map_err(from_sqlite)?;
    known.filter(|topic| topic.version.is_some()).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "file has no such topic: create it first").with("topic", name)
    })
}

/// Sets how long a topic keeps its records.
pub(crate) fn set_retention(
    conn: &Connection,
    topic: &Arc<str>,
    rule: Option<RetentionRule>,
) -> Result<(), Error> {
    let topic = defined(conn, topic)?;
    retention::set(conn, topic.id, rule).map_err(from_sqlite)
}

/// Deletes some records that a topic no longer keeps, and returns how many.
pub(crate) fn expire(conn: &Connection, name: &str, now: i64) -> Result<u64, Error> {
    over_partitions(conn, name, |topic, tp| retention::expire(conn, topic, tp, EXPIRE_STEP, now))
}

/// Deletes some records of a topic, whatever it keeps, and returns how many.
pub(crate) fn clear(conn: &Connection, name: &str, now: i64) -> Result<u64, Error> {
    over_partitions(conn, name, |topic, tp| {
        let topic = Topic { retention: Some(RetentionRule::of_nothing()), ..*topic };
        retention::expire(conn, &topic, tp, EXPIRE_STEP, now)
    })
}

/// Returns how many records a topic no longer keeps.
pub(crate) fn due(conn: &Connection, name: &str, now: i64) -> Result<u64, Error> {
    over_partitions(conn, name, |topic, tp| retention::due(conn, topic, tp, now))
}

/// Adds up numbers of records over the partitions of a topic.
fn over_partitions(
    conn: &Connection,
    name: &str,
    records: impl Fn(&Topic, i64) -> rusqlite::Result<u64>,
) -> Result<u64, Error> {
    let topic = defined(conn, name)?;
    let partitions = topics::partitions(conn, name).map_err(from_sqlite)?;
    let records = partitions.iter().map(|known| records(&topic, known.tp));
    records.sum::<rusqlite::Result<u64>>().map_err(from_sqlite)
}
