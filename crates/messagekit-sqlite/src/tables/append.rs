//! Appends records. The same transaction assigns their offsets, so that no reader can ever skip one.

use messagekit::{Error, Message};
use messagekit_topic_store::partition_of;
use rusqlite::Connection;

use super::columns::Columns;
use super::event_links;
use super::names::Topic;
use super::pending;
use super::record_ids;
use super::retention;
use super::topics::{self, position};
use crate::error::from_sqlite;

/// How many records more than it appends an append may delete.
const BEYOND: u32 = 64;

/// The result of an append.
#[derive(Debug)]
pub(crate) struct Appended {
    /// The position of each message.
    pub(crate) positions: Vec<i64>,
    /// At least one record is for a relay.
    pub(crate) leaves: bool,
}

/// Appends messages in order; their common time is `now`. Creates missing topics. Records of a relayed topic are pending
/// from then on.
///
/// The messages of one batch without a key go to one partition, the one with the fewest records. Batches thus take turns
/// without a counter that processes would have to share.
pub(crate) fn append(
    conn: &Connection,
    messages: &[Message],
    partitions_of_new: u32,
    now: i64,
) -> Result<Appended, Error> {
    // The links are no part of what is published.
    let (plain, links): (Vec<_>, Vec<_>) = messages.iter().map(event_links::without).unzip();
    plain.iter().try_for_each(|message| message.check())?;
    let mut runs = Runs::default();
    let targets = plain
        .iter()
        .map(|message| runs.add(conn, message, partitions_of_new))
        .collect::<rusqlite::Result<Vec<usize>>>()
        .map_err(from_sqlite)?;
    runs.take_offsets(conn).map_err(from_sqlite)?;
    let mut numbered = Vec::new();
    let mut appended = Appended { positions: Vec::with_capacity(messages.len()), leaves: false };
    for ((message, links), run) in plain.iter().zip(&links).zip(targets) {
        let columns = Columns::of(&message.headers)?;
        let position = runs.next_position(run);
        insert(conn, position, message, &columns, now).map_err(from_sqlite)?;
        event_links::add(conn, position, links).map_err(from_sqlite)?;
        if let Some(topic) = runs.leaving(run) {
            pending::add(conn, topic, position, message, now).map_err(from_sqlite)?;
            appended.leaves = true;
        }
        if let Some(topic) = runs.numbered(run) {
            numbered.push((topic, position));
        }
        appended.positions.push(position);
    }
    if !numbered.is_empty() {
        record_ids::add(conn, numbered).map_err(from_sqlite)?;
    }
    runs.expire(conn, now).map_err(from_sqlite)?;
    Ok(appended)
}

fn insert(
    conn: &Connection,
    position: i64,
    message: &Message,
    columns: &Columns<&str>,
    now: i64,
) -> rusqlite::Result<usize> {
    let [event_id, event_type, content_type, traceparent] = columns.known;
    conn.prepare_cached(
        "INSERT INTO messagekit_topic_records
           (pos, event_id, event_type, key, content_type, traceparent, created_at, headers, payload)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute((
        position,
        event_id,
        event_type,
        message.key.as_deref(),
        content_type,
        traceparent,
        now,
        columns.rest.as_deref(),
        &*message.payload,
    ))
}

/// The messages of one partition take their offsets in one statement, at half the cost of one by one.
#[derive(Default)]
struct Runs<'a> {
    topics: Vec<(&'a str, Topic, Option<u32>)>,
    runs: Vec<Run>,
}

struct Run {
    topic: Topic,
    partition: u32,
    count: u32,
    bytes: i64,
    next: i64,
}

impl<'a> Runs<'a> {
    /// Counts a message and returns the index of its run.
    fn add(
        &mut self,
        conn: &Connection,
        message: &'a Message,
        partitions_of_new: u32,
    ) -> rusqlite::Result<usize> {
        let known = self.topics.iter().position(|(name, ..)| *name == &*message.topic);
        let index = match known {
            Some(index) => index,
            None => {
                let topic = topics::ensure(conn, &message.topic, partitions_of_new)?;
                self.topics.push((&message.topic, topic, None));
                self.topics.len() - 1
            }
        };
        let (_, topic, keyless) = &mut self.topics[index];
        let partition = match (&message.key, *keyless) {
            (Some(key), _) => partition_of(key, topic.partitions),
            (None, Some(partition)) => partition,
            (None, None) if topic.partitions == 1 => 0,
            (None, None) => *keyless.insert(topics::shortest(conn, topic.id)?),
        };
        let same = |run: &Run| run.topic.id == topic.id && run.partition == partition;
        let index = self.runs.iter().position(same).unwrap_or_else(|| {
            self.runs.push(Run { topic: *topic, partition, count: 0, bytes: 0, next: 0 });
            self.runs.len() - 1
        });
        let run = &mut self.runs[index];
        run.count += 1;
        run.bytes += retention::bytes_of(message);
        Ok(index)
    }

    fn take_offsets(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for run in &mut self.runs {
            let (tp, first) = topics::take_offsets(conn, run.topic.id, run.partition, run.count, run.bytes)?;
            run.next = position(tp, first);
        }
        Ok(())
    }

    /// Returns the topic of a run if it is relayed.
    fn leaving(&self, run: usize) -> Option<i64> {
        Some(self.runs[run].topic).filter(|topic| topic.leaves).map(|topic| topic.id)
    }

    /// Returns the topic of a run if its records have ids.
    fn numbered(&self, run: usize) -> Option<i64> {
        Some(self.runs[run].topic).filter(|topic| topic.version.is_some()).map(|topic| topic.id)
    }

    /// Deletes what the topics no longer keep, so that appends alone hold them at their size.
    fn expire(&self, conn: &Connection, now: i64) -> rusqlite::Result<()> {
        for run in self.runs.iter().filter(|run| run.topic.retention.is_some()) {
            let tp = topics::partition_id(run.next);
            retention::expire(conn, &run.topic, tp, run.count.saturating_add(BEYOND), now)?;
        }
        Ok(())
    }

    fn next_position(&mut self, run: usize) -> i64 {
        let next = &mut self.runs[run].next;
        *next += 1;
        *next - 1
    }
}
