//! Records that no broker has confirmed yet.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use messagekit::fnv::fnv1a;
use messagekit::relay::{Page, Pending, PendingId, SHARDS, ShardRead};
use messagekit::{Error, Message, chain, headers};
use rusqlite::{Connection, OptionalExtension, Result};

use super::{read, shards};
use crate::error::from_sqlite;

/// The most bytes of keys, headers and payloads in one result.
const MOST_BYTES: usize = 8 << 20;

/// Makes a record pending that this transaction has appended.
pub(crate) fn add(conn: &Connection, topic: i64, position: i64, message: &Message, now: i64) -> Result<()> {
    let key_hash = message.key.as_deref().map(|key| fnv1a(key.iter().copied()).cast_signed());
    let spread = key_hash.unwrap_or_else(|| fnv1a(position.to_be_bytes()).cast_signed());
    let shard = (spread ^ spread >> 32).rem_euclid(i64::from(SHARDS));
    conn.prepare_cached(
        "INSERT INTO messagekit_outbox_pending (shard, topic_id, pos, key_hash, ready_at) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((shard, topic, position, key_hash, now))
    .map(drop)
}

/// A relay's request.
pub(crate) struct Question {
    pub(crate) name: String,
    pub(crate) wanted: Vec<ShardRead>,
    pub(crate) except: HashSet<i64>,
    pub(crate) paused: HashSet<Arc<str>>,
    pub(crate) limit: usize,
}

struct Found {
    seq: i64,
    position: i64,
    topic: i64,
    key_hash: Option<i64>,
}

/// Returns the ready records of the requested shards. The caller provides one snapshot for all of it.
pub(crate) fn pending(conn: &Connection, question: &Question, now: i64) -> Result<Page, Error> {
    let mut looking = Looking { conn, question, names: HashMap::new(), stopped: HashSet::new(), bytes: 0 };
    // Only one writer assigns positions, so the committed records up to the last position are complete.
    let mut page = Page { stable: last(conn).map_err(from_sqlite)?, ..Page::default() };
    for wanted in &question.wanted {
        if !shards::holds(conn, &question.name, wanted.lease, now).map_err(from_sqlite)? {
            page.lost.push(wanted.lease.shard);
        } else if !page.more {
            looking.look(wanted, &mut page)?;
        }
    }
    Ok(page)
}

/// Returns the last assigned position.
fn last(conn: &Connection) -> Result<i64> {
    conn.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'messagekit_outbox_pending'")?
        .query_row([], |row| row.get(0))
        .optional()
        .map(Option::unwrap_or_default)
}

struct Looking<'a> {
    conn: &'a Connection,
    question: &'a Question,
    names: HashMap<i64, Arc<str>>,
    /// Topics and keys of records that cannot be read: the records behind them are set aside with them.
    stopped: HashSet<(i64, i64)>,
    bytes: usize,
}

impl Looking<'_> {
    fn look(&mut self, wanted: &ShardRead, page: &mut Page) -> Result<(), Error> {
        for found in self.find(wanted, self.question.limit - page.rows.len()).map_err(from_sqlite)? {
            if page.rows.len() == self.question.limit {
                page.more = true;
                return Ok(());
            }
            let (message, unreadable) = self.message(&found)?;
            self.bytes += message.size();
            if self.bytes > MOST_BYTES && !page.rows.is_empty() {
                page.more = true;
                return Ok(());
            }
            let key = found.key_hash.map(|key_hash| (found.topic, key_hash));
            let held = key.is_some_and(|key| self.stopped.contains(&key))
                || is_held(self.conn, found.topic, found.key_hash, found.seq).map_err(from_sqlite)?;
            if unreadable.is_some() {
                self.stopped.extend(key);
            }
            let (shard, Found { seq, position, .. }) = (wanted.lease.shard, found);
            page.rows.push(Pending { shard, seq, copy: position, held, unreadable, message });
        }
        Ok(())
    }

    /// Finds the first ready rows of a shard, and one more than fits.
    fn find(&mut self, wanted: &ShardRead, room: usize) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        let shard = wanted.lease.shard;
        let mut topic = self.topic_behind(shard, 0)?;
        while let Some(id) = topic {
            let name = self.name(id)?;
            if !self.question.paused.contains(&name) {
                let mut select = self.conn.prepare_cached(
                    "SELECT seq, pos, key_hash FROM messagekit_outbox_pending
                     WHERE shard = ?1 AND topic_id = ?2 AND seq > ?3 ORDER BY seq",
                )?;
                let row = |row: &rusqlite::Row<'_>| {
                    Ok(Found { seq: row.get(0)?, position: row.get(1)?, topic: id, key_hash: row.get(2)? })
                };
                let rows = select.query_map((shard, id, wanted.above), row)?;
                let left_out = |row: &Result<Found>| {
                    row.as_ref().is_ok_and(|row| self.question.except.contains(&row.seq))
                };
                for row in rows.filter(|row| !left_out(row)).take(room + 1) {
                    found.push(row?);
                }
            }
            topic = self.topic_behind(shard, id)?;
        }
        found.sort_unstable_by_key(|found| found.seq);
        found.truncate(room + 1);
        Ok(found)
    }

    /// Returns the next topic of a shard: one step per topic, however many records each has.
    fn topic_behind(&self, shard: u16, topic: i64) -> Result<Option<i64>> {
        self.conn
            .prepare_cached(
                "SELECT topic_id FROM messagekit_outbox_pending WHERE shard = ?1 AND topic_id > ?2
                 ORDER BY shard, topic_id LIMIT 1",
            )?
            .query_row((shard, topic), |row| row.get(0))
            .optional()
    }

    fn name(&mut self, topic: i64) -> Result<Arc<str>> {
        if let Some(name) = self.names.get(&topic) {
            return Ok(Arc::clone(name));
        }
        let name: Option<Arc<str>> = self
            .conn
            .prepare_cached("SELECT name FROM messagekit_topics WHERE id = ?1")?
            .query_row([topic], |row| Ok(row.get(0).ok()))
            .optional()?
            .flatten();
        // A record of a topic without a name is set aside under the topic's number.
        let name = name.unwrap_or_else(|| format!("topic-{topic}").into());
        self.names.insert(topic, Arc::clone(&name));
        Ok(name)
    }

    /// Returns the record, or its identity with the reason why it cannot be read.
    fn message(&mut self, found: &Found) -> Result<(Message, Option<String>), Error> {
        let topic = self.name(found.topic).map_err(from_sqlite)?;
        let (id, why) = match read::try_at(self.conn, &topic, found.position)? {
            Some(Ok(stored)) => return Ok((stored.message, None)),
            Some(Err(error)) => {
                let id = self.id(found.position).map_err(from_sqlite)?;
                (id, format!("record cannot be read: {}; correct it and retry, or discard it", chain(&error)))
            }
            None => {
                let text = "record is not in its topic any more: put it back and retry, or discard it";
                (None, text.to_owned())
            }
        };
        let mut message = Message::new(topic, Vec::new());
        if let Some(id) = id {
            message.headers.set(headers::ID, id);
        }
        Ok((message, Some(why)))
    }

    /// Returns the id of a record, if it has one that is text.
    fn id(&self, position: i64) -> Result<Option<String>> {
        self.conn
            .prepare_cached("SELECT event_id FROM messagekit_topic_records WHERE pos = ?1")?
            .query_row([position], |row| Ok(row.get(0).unwrap_or_default()))
    }
}

/// Returns whether an earlier record of the same topic and key is set aside.
pub(crate) fn is_held(conn: &Connection, topic: i64, key_hash: Option<i64>, seq: i64) -> Result<bool> {
    let Some(key_hash) = key_hash else { return Ok(false) };
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_outbox_rejected WHERE topic_id = ?1 AND key_hash = ?2 AND seq < ?3)",
    )?
    .query_row((topic, key_hash, seq), |row| row.get(0))
}

/// The condition of an entry's row: another record at the same position does not match. An entry without an id may belong
/// to a missing record, or to one whose id is not text.
pub(crate) const ENTRY: &str = "seq = ?1 AND shard = ?2 AND pos = ?3 AND (?4 = '' OR EXISTS (
   SELECT 1 FROM messagekit_topic_records r WHERE r.pos = ?3 AND r.event_id = ?4))";

/// Deletes published records from the list.
pub(crate) fn published(conn: &Connection, entries: &[PendingId]) -> Result<()> {
    let mut delete = conn.prepare_cached(&format!("DELETE FROM messagekit_outbox_pending WHERE {ENTRY}"))?;
    for entry in entries {
        delete.execute((entry.seq, entry.shard, entry.copy, entry.event_id.as_str()))?;
    }
    Ok(())
}

/// Returns the number of waiting records, the number that wait since before a time, and the start of the longest wait, of those
/// at the first 10,000 positions.
pub(crate) fn waiting(conn: &Connection, before: i64) -> Result<(u64, u64, Option<i64>)> {
    conn.prepare_cached(
        "SELECT count(*), count(*) FILTER (WHERE ready_at <= ?1), min(ready_at) FROM (
           SELECT ready_at FROM messagekit_outbox_pending ORDER BY seq LIMIT 10000)",
    )?
    .query_row([before], |row| {
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs(), row.get(2)?))
    })
}
