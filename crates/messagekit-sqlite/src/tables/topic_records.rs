//! Records of defined topics, as one consumer sees them.

use std::sync::Arc;

use messagekit::log::{
    AppendedRecord, NewRecord, OnDuplicate, RecordCounts, RecordPage, RecordQuery, RecordStatus,
    RetentionRule, TopicRecord,
};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Row};

use super::names::{self, Topic};
use super::processed::DONE;
use super::{append, dedup_hash, read, record_ids, retention, timestamp, topics};
use crate::error::from_sqlite;

/// The most records that one call looks at to move a consumer's cursor.
const PREFIX_STEP: u32 = 10_000;

/// The most records of a partition that one call deletes.
const EXPIRE_STEP: u32 = 1_000;

/// How far a consumer is with the record `r`, from its marker `m`: an open failed message that is not dead is still to be handled.
const STATUS: &str = "CASE WHEN m.outcome IS NULL THEN 0 WHEN m.outcome = 0 THEN 1 WHEN m.outcome = 2 THEN 2
       WHEN (SELECT f.state FROM messagekit_failed_messages f
             WHERE f.consumer_id = m.consumer_id AND f.message_id = m.message_id) = 'dead' THEN 2 ELSE 0 END";

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
        check_version(topics.get(conn, &record.message.topic)?, record)?;
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

fn check_version(topic: Topic, record: &NewRecord) -> Result<(), Error> {
    if topic.id != record.topic_id {
        let text = "topic was dropped and made again since this program opened it: open it again";
        return Err(Error::new(ErrorKind::NotFound, text).with("topic", &record.message.topic));
    }
    if topic.version == Some(record.version) {
        return Ok(());
    }
    let text = "topic was migrated since this program opened it: open it again with its new type";
    Err(Error::new(ErrorKind::SchemaMismatch, text).with("topic", &record.message.topic))
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

/// Reads records in the order of their ids.
pub(crate) fn query(conn: &Connection, query: &RecordQuery) -> Result<RecordPage, Error> {
    let topic = defined(conn, &query.topic)?;
    let consumer = names::known_consumer(conn, &query.consumer).map_err(from_sqlite)?.unwrap_or(0);
    let mut after = query.after;
    let mut page = RecordPage::default();
    if query.status == Some(RecordStatus::New) {
        let first = first_unhandled(conn, consumer, &query.topic).map_err(from_sqlite)?;
        page.overtaken = losses(conn, consumer, topic.id).map_err(from_sqlite)?.overtaken;
        let Some(first) = first else { return Ok(page) };
        after = after.max(first - 1);
    }
    let wanted = query.status.map(|status| match status {
        RecordStatus::New => 0,
        RecordStatus::Handled => 1,
        RecordStatus::Dead => 2,
    });
    let select = format!(
        "SELECT r.pos, r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers, r.payload,
           i.first_id + (r.pos - i.pos), p.partition, {STATUS} AS status, m.processed_at, m.outcome IS 1 AS is_failed
         FROM messagekit_record_ids i
         CROSS JOIN messagekit_topic_partitions p ON p.id = i.pos >> 40
         CROSS JOIN messagekit_topic_records r
           ON r.pos >= i.pos + max(0, ?3 + 1 - i.first_id) AND r.pos < i.pos + i.length
         LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?2 AND m.message_id = r.event_id
         WHERE i.topic_id = ?1
           AND i.first_id >= coalesce((SELECT max(first_id) FROM messagekit_record_ids WHERE topic_id = ?1 AND first_id <= ?3 + 1), 0)
           AND (?4 IS NULL OR status = ?4)
         ORDER BY i.first_id, r.pos LIMIT ?5"
    );
    let mut select = conn.prepare_cached(&select).map_err(from_sqlite)?;
    let mut rows = select.query((topic.id, consumer, after, wanted, query.max)).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        page.records.push(record(&query.topic, row)?);
    }
    Ok(page)
}

/// What a consumer has lost in a topic by retention.
struct Losses {
    /// How many records were deleted before it had handled them.
    expired: u64,
    /// The same for those partitions in which it has handled none behind them, if there are any.
    overtaken: Option<u64>,
}

fn losses(conn: &Connection, consumer: i64, topic: i64) -> rusqlite::Result<Losses> {
    conn.prepare_cached(
        "SELECT coalesce(sum(c.expired), 0), sum(c.expired) FILTER (WHERE c.next < p.log_start AND c.expired > 0)
         FROM messagekit_topic_partitions p
         CROSS JOIN messagekit_consumer_cursors c ON c.consumer_id = ?1 AND c.tp_id = p.id
         WHERE p.topic_id = ?2",
    )?
    .query_row((consumer, topic), |row| {
        let (expired, overtaken): (i64, Option<i64>) = (row.get(0)?, row.get(1)?);
        Ok(Losses { expired: expired.unsigned_abs(), overtaken: overtaken.map(i64::unsigned_abs) })
    })
}

fn record(topic: &Arc<str>, row: &Row<'_>) -> Result<TopicRecord, Error> {
    let stored = read::stored(topic, row)?;
    let extra = || Ok((row.get(9)?, row.get(10)?, row.get(11)?, row.get(12)?, row.get(13)?));
    let (id, partition, status, handled_at, is_failed): (i64, i32, i64, Option<i64>, bool) =
        extra().map_err(from_sqlite)?;
    let status = match status {
        0 => RecordStatus::New,
        1 => RecordStatus::Handled,
        _ => RecordStatus::Dead,
    };
    let handled_at = handled_at.filter(|_| status == RecordStatus::Handled).map(timestamp).transpose()?;
    Ok(TopicRecord { id, record: stored.into_record(topic, partition)?, status, handled_at, is_failed })
}

/// Notes that a consumer has handled a record, and moves its cursor past the records that it has handled in a row.
pub(crate) fn set_handled(
    conn: &Connection,
    consumer: &str,
    topic: &Arc<str>,
    id: i64,
    now: i64,
) -> Result<(), Error> {
    let own = defined(conn, topic)?;
    let missing = || {
        Error::new(ErrorKind::NotFound, "topic has no such record").with("topic", topic).with("record", id)
    };
    let found = record_ids::position(conn, id).map_err(from_sqlite)?;
    let pos = found.filter(|(of, _)| *of == own.id).map(|(_, pos)| pos).ok_or_else(missing)?;
    let event_id: Option<Option<String>> = conn
        .prepare_cached("SELECT event_id FROM messagekit_topic_records WHERE pos = ?1")
        .and_then(|mut select| select.query_row([pos], |row| row.get(0)).optional())
        .map_err(from_sqlite)?;
    let event_id = event_id.flatten().ok_or_else(missing)?;
    let mark = || {
        let consumer = names::consumer(conn, consumer)?;
        let marked = conn
            .prepare_cached(
                "INSERT INTO messagekit_processed_messages AS m (consumer_id, message_id, outcome, processed_at)
                 VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (consumer_id, message_id) DO UPDATE SET processed_at = excluded.processed_at WHERE m.outcome = ?3",
            )?
            .execute((consumer, &event_id, DONE, now))?;
        if marked == 1 {
            pass_handled(conn, consumer, pos)?;
        }
        Ok(marked == 1)
    };
    if mark().map_err(from_sqlite)? {
        return Ok(());
    }
    let text = "record is a failed message of the consumer: retry or discard that";
    Err(Error::new(ErrorKind::WrongState, text).with("topic", topic).with("record", id))
}

/// Moves a consumer's cursor from a record that it has handled past those behind it that it has handled too.
pub(super) fn pass_handled(conn: &Connection, consumer: i64, pos: i64) -> rusqlite::Result<()> {
    let (tp, offset) = (topics::partition_id(pos), topics::offset(pos));
    let next: Option<i64> = conn
        .prepare_cached("SELECT next FROM messagekit_consumer_cursors WHERE consumer_id = ?1 AND tp_id = ?2")?
        .query_row((consumer, tp), |row| row.get(0))
        .optional()?;
    let log_start: i64 = conn
        .prepare_cached("SELECT log_start FROM messagekit_topic_partitions WHERE id = ?1")?
        .query_row([tp], |row| row.get(0))?;
    if offset != next.unwrap_or(0).max(log_start) {
        return Ok(());
    }
    let mut select = conn.prepare_cached(
        "SELECT r.pos, m.outcome IS 0 FROM messagekit_topic_records r
         LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?1 AND m.message_id = r.event_id
         WHERE r.pos > ?2 AND r.pos < ?3 ORDER BY r.pos LIMIT ?4",
    )?;
    let mut rows = select.query((consumer, pos, topics::position(tp + 1, 0), PREFIX_STEP))?;
    let mut next = offset + 1;
    while let Some(row) = rows.next()? {
        if !row.get::<_, bool>(1)? {
            break;
        }
        next = topics::offset(row.get(0)?) + 1;
    }
    conn.prepare_cached(
        "INSERT INTO messagekit_consumer_cursors (consumer_id, tp_id, next, by_record) VALUES (?1, ?2, ?3, 1)
         ON CONFLICT (consumer_id, tp_id) DO UPDATE SET next = excluded.next",
    )?
    .execute((consumer, tp, next))
    .map(drop)
}

/// Returns the id of the first record that a consumer may not have handled, or `None` when it has handled all.
fn first_unhandled(conn: &Connection, consumer: i64, topic: &str) -> rusqlite::Result<Option<i64>> {
    let mut first: Option<i64> = None;
    for (tp, next, end) in prefixes(conn, consumer, topic)? {
        if next < end {
            let id = record_ids::of_position(conn, topics::position(tp, next))?;
            first = first.into_iter().chain(id).min();
        }
    }
    Ok(first)
}

/// Returns (partition's number in the file, end of the handled prefix, end) of each partition of a topic.
fn prefixes(conn: &Connection, consumer: i64, topic: &str) -> rusqlite::Result<Vec<(i64, i64, i64)>> {
    conn.prepare_cached(
        "SELECT p.id, max(p.log_start, coalesce(c.next, 0)), p.next_offset
         FROM messagekit_topics t JOIN messagekit_topic_partitions p ON p.topic_id = t.id
         LEFT JOIN messagekit_consumer_cursors c ON c.tp_id = p.id AND c.consumer_id = ?2
         WHERE t.name = ?1 ORDER BY p.partition",
    )?
    .query_map((topic, consumer), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
    .collect()
}

/// Counts the records of a topic. What stands in the handled prefix is not looked at.
pub(crate) fn count(conn: &Connection, consumer: &str, topic: &Arc<str>) -> Result<RecordCounts, Error> {
    let own = defined(conn, topic)?;
    let counted = || {
        let consumer = names::known_consumer(conn, consumer)?.unwrap_or(0);
        let mut counts = RecordCounts::default();
        let kept: i64 = topics::partitions(conn, topic)?.iter().map(|p| p.next_offset - p.log_start).sum();
        for (tp, next, _) in prefixes(conn, consumer, topic)? {
            let select = format!(
                "SELECT count(*) FILTER (WHERE {STATUS} = 0), count(*) FILTER (WHERE {STATUS} = 2)
                 FROM messagekit_topic_records r
                 LEFT JOIN messagekit_processed_messages m ON m.consumer_id = ?1 AND m.message_id = r.event_id
                 WHERE r.pos >= ?2 AND r.pos < ?3"
            );
            let range = (consumer, topics::position(tp, next), topics::position(tp + 1, 0));
            let (new, dead): (i64, i64) =
                conn.prepare_cached(&select)?.query_row(range, |row| Ok((row.get(0)?, row.get(1)?)))?;
            counts.new += new.unsigned_abs();
            counts.dead += dead.unsigned_abs();
        }
        counts.expired = losses(conn, consumer, own.id)?.expired;
        counts.all = kept.unsigned_abs();
        counts.handled = counts.all - counts.new - counts.dead;
        Ok(counts)
    };
    counted().map_err(from_sqlite)
}
