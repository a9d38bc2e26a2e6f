//! The reader thread of a subscriber.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use messagekit::adapter::Lane;
use messagekit::{Error, ErrorKind, Position};
use rusqlite::Connection;

use super::beginning::Beginning;
use super::link::{Arrival, Link, Room};
use super::wake::{News, block_on};
use crate::binding::{Cursor, Move};
use crate::error::from_sqlite;
use crate::name_lock::{self, NameLock};
use crate::tables::topics::Partition;
use crate::tables::{cursors, names, read, topics, waiting_changes};

/// How often a standby subscriber tries to take the name.
const STANDBY: Duration = Duration::from_millis(100);
/// The pause after a transient error.
const BACKOFF: Duration = Duration::from_millis(100);
/// How many records are read from a partition before the next one's turn.
const PAGE: usize = 64;

/// Starts the thread.
pub(super) fn start(link: &Arc<Link>, topics: Vec<Arc<str>>, beginning: Beginning) -> Result<(), Error> {
    let feed = Feed {
        link: link.clone(),
        topics: topics.into(),
        beginning,
        tracks: BTreeMap::new(),
        lane: None,
        consumer: 0,
        moves: Vec::new(),
        last: 0,
    };
    let started = thread::Builder::new().name("messagekit-read".to_owned()).spawn(move || feed.run());
    match started {
        Ok(handle) => {
            link.is_thread(handle.thread().clone());
            Ok(())
        }
        Err(error) => {
            Err(Error::new(ErrorKind::Unavailable, "reader thread cannot be started").caused_by(error))
        }
    }
}

/// The reader of one subscriber.
struct Feed {
    link: Arc<Link>,
    topics: Arc<[Arc<str>]>,
    beginning: Beginning,
    tracks: BTreeMap<i64, Track>,
    lane: Option<Lane>,
    consumer: i64,
    /// Received from the subscriber and not yet written.
    moves: Vec<Move>,
    /// The partition that was read last; the following one is next.
    last: i64,
}

/// A partition and its read position.
struct Track {
    topic: Arc<str>,
    partition: i32,
    next: i64,
    end: i64,
}

enum Step {
    Busy,
    /// There are no records to read.
    Dry,
    /// The read-ahead buffer is full.
    Full,
    Closed,
}

impl Feed {
    fn run(mut self) {
        let ended = self.work().err();
        let closed = self.leave();
        self.link.end(ended, closed);
    }

    /// Works until the subscriber closes it, or ends with an error.
    fn work(&mut self) -> Result<(), Error> {
        let link = self.link.clone();
        let mut news = News::new(link.store.commits(), link.store.file());
        if !self.stand_by(&news)? {
            return Ok(());
        }
        let mut conn = None;
        loop {
            match self.step(&news, &mut conn) {
                Ok(Step::Busy) => {}
                Ok(Step::Closed) => return Ok(()),
                Ok(Step::Full) => {
                    while link.is_full() && !link.has_orders() {
                        thread::park_timeout(STANDBY);
                        news.check_open()?;
                    }
                }
                Ok(Step::Dry) => {
                    if let Some(conn) = &conn {
                        news.wait(conn, || link.has_orders())?;
                    }
                }
                // What could not be read will not be read. Whether the settled messages are durable, `leave` finds out.
                Err(_) if link.is_closing() => return Ok(()),
                Err(error) if error.is_transient() => {
                    if error.kind() == ErrorKind::Fenced {
                        // The records that were read belong to a cursor that has moved in the file.
                        self.moves.clear();
                        self.lane = None;
                        link.lose();
                    }
                    link.report(error);
                    thread::park_timeout(BACKOFF);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the consumer's name; returns false when closed before.
    fn stand_by(&self, news: &News) -> Result<bool, Error> {
        let file = name_lock::file_of(self.link.store.path(), &self.link.consumer);
        let mut is_said = false;
        while !self.link.is_closing() {
            news.check_open()?;
            match NameLock::try_take(&file) {
                Ok(Some(name)) => return Ok(self.link.own(name)),
                Ok(None) if is_said => {}
                Ok(None) => {
                    is_said = true;
                    let consumer = &*self.link.consumer;
                    tracing::info!(
                        consumer,
                        "another process or consumer of this name reads the file: this one stands by"
                    );
                }
                Err(error) if error.is_transient() => self.link.report(error),
                Err(error) => return Err(error),
            }
            thread::park_timeout(STANDBY);
        }
        Ok(false)
    }

    fn step(&mut self, news: &News, conn: &mut Option<Connection>) -> Result<Step, Error> {
        news.check_open()?;
        let orders = self.link.take_orders();
        self.moves.extend(orders.moves);
        if orders.rewind {
            self.lane = None;
        }
        if orders.close {
            return Ok(Step::Closed);
        }
        // Before a new lane, which begins at the durable cursor.
        self.write_moves()?;
        let lane = match self.lane {
            Some(lane) => lane,
            None => self.assign()?,
        };
        let conn = match conn {
            Some(conn) => conn,
            None => conn.insert(self.link.store.open_reader()?),
        };
        let Some(room) = self.link.room() else { return Ok(Step::Full) };
        if !self.has_unread() {
            self.look(conn)?;
            if !self.has_unread() {
                return Ok(if self.moves.is_empty() { Step::Dry } else { Step::Busy });
            }
        }
        self.read_pages(conn, lane, room)?;
        Ok(Step::Busy)
    }

    /// Makes everything settled durable.
    fn leave(&mut self) -> Result<(), Error> {
        self.moves.extend(self.link.take_orders().moves);
        self.write_moves()
    }

    /// Moves the cursors past settled messages, where no transaction has done so.
    fn write_moves(&mut self) -> Result<(), Error> {
        if self.moves.is_empty() {
            return Ok(());
        }
        let (binding, consumer, moves) = (self.link.binding().clone(), self.consumer, self.moves.clone());
        let moved =
            block_on(self.link.store.job(move |conn| binding.advance(conn, consumer, moves.clone())))?;
        self.link.binding().moved(&moved);
        self.moves.clear();
        Ok(())
    }

    /// Begins a new lane at the cursors of the file.
    fn assign(&mut self) -> Result<Lane, Error> {
        static EPOCH: AtomicU64 = AtomicU64::new(1);

        self.tracks.clear();
        self.adopt()?;
        let lane = Lane { slot: 0, epoch: EPOCH.fetch_add(1, Ordering::Relaxed) };
        self.lane = Some(lane);
        self.link.assigned(lane);
        Ok(lane)
    }

    /// Adds every partition that is not read yet, with its cursor.
    fn adopt(&mut self) -> Result<(), Error> {
        let known: Vec<i64> = self.tracks.keys().copied().collect();
        let (topics, name, binding) =
            (self.topics.clone(), self.link.consumer.clone(), self.link.binding().clone());
        let beginning = self.beginning.clone();
        let of_time = beginning.of_time(&self.link.store, &name, &topics)?;
        let (consumer, found) = block_on(self.link.store.job(move |conn| {
            // A consumer that the file knows may have read a topic that was dropped, whose positions another store still has.
            let is_new = names::known_consumer(conn, &name).map_err(from_sqlite)?.is_none();
            let consumer = names::consumer(conn, &name).map_err(from_sqlite)?;
            let mut found = Vec::new();
            for topic in &*topics {
                for partition in topics::partitions(conn, topic).map_err(from_sqlite)? {
                    if !known.contains(&partition.tp) {
                        let of_store = || beginning.remembered(topic, partition.partition);
                        let first = is_new.then(of_store).flatten();
                        let first = first.or_else(|| of_time.get(&partition.tp).copied());
                        let cursor =
                            cursors::ensure(conn, consumer, &partition, first).map_err(from_sqlite)?;
                        // On the writer thread, so that no commit of this process comes between reading and storing it.
                        binding.set(
                            topic,
                            partition.partition,
                            Cursor { tp: partition.tp, next: cursor.next },
                        );
                        found.push((topic.clone(), partition, cursor));
                    }
                }
            }
            Ok((consumer, found))
        }))?;
        self.consumer = consumer;
        for (topic, Partition { tp, partition, next_offset, .. }, cursor) in found {
            self.warn_gone(&topic, partition, cursor.gone);
            self.tracks.insert(tp, Track { topic, partition, next: cursor.next, end: next_offset });
        }
        Ok(())
    }

    fn has_unread(&self) -> bool {
        self.tracks.values().any(|track| track.next < track.end)
    }

    /// Reads the current ends of the partitions, and finds new partitions.
    fn look(&mut self, conn: &Connection) -> Result<(), Error> {
        if waiting_changes::last(conn).map_err(from_sqlite)?.is_some() {
            block_on(self.link.store.append_waiting())?;
        }
        let mut is_new = false;
        let mut known = 0;
        for topic in &*self.topics.clone() {
            for partition in topics::partitions(conn, topic).map_err(from_sqlite)? {
                match self.tracks.get_mut(&partition.tp) {
                    Some(track) if partition.next_offset < track.end => {
                        let text = "the file was restored: the consumer reads on from its position in it";
                        return Err(Error::new(ErrorKind::Fenced, text)
                            .with("topic", topic)
                            .with("next", track.next)
                            .with("end", partition.next_offset));
                    }
                    Some(track) => {
                        known += 1;
                        track.end = partition.next_offset;
                        let gone = partition.log_start - track.next;
                        if gone > 0 {
                            let read_from = std::mem::replace(&mut track.next, partition.log_start);
                            self.skip(topic, partition, read_from);
                            self.warn_gone(topic, partition.partition, gone);
                        }
                    }
                    None => is_new = true,
                }
            }
        }
        if known < self.tracks.len() {
            return Err(Error::new(
                ErrorKind::Fenced,
                "a topic was dropped: the consumer begins anew in its next one",
            ));
        }
        if is_new { self.adopt() } else { Ok(()) }
    }

    /// Skips deleted records. Their cursor moves with the next record, or now when no message is in flight.
    fn skip(&mut self, topic: &Arc<str>, partition: Partition, read_from: i64) {
        let cursor = self.link.binding().cursor(topic, partition.partition);
        if cursor.is_some_and(|cursor| cursor.next == read_from) {
            let (topic, partition, next) = (topic.clone(), partition.partition, partition.log_start);
            self.moves.push(Move { topic, partition, next });
        }
    }

    fn warn_gone(&self, topic: &str, partition: i32, gone: i64) {
        if gone > 0 {
            let consumer = &*self.link.consumer;
            tracing::warn!(
                consumer,
                topic,
                partition,
                gone,
                "records were deleted before the consumer read them"
            );
        }
    }

    /// Reads one page of each partition that has records, beginning after the one that was read last.
    fn read_pages(&mut self, conn: &Connection, lane: Lane, mut room: Room) -> Result<(), Error> {
        let behind = (Bound::Excluded(self.last), Bound::Unbounded);
        let order: Vec<i64> =
            self.tracks.range(behind).chain(self.tracks.range(..=self.last)).map(|(tp, _)| *tp).collect();
        for tp in order {
            let Some(track) = self.tracks.get_mut(&tp).filter(|track| track.next < track.end) else {
                continue;
            };
            if room.messages == 0 || room.bytes == 0 {
                break;
            }
            let records =
                read::read(conn, &track.topic, tp, track.next, PAGE.min(room.messages), room.bytes)?;
            // A missing record below a known end was deleted.
            track.next = records.last().map_or(track.end, |record| record.offset + 1);
            let bytes = records.iter().map(|record| record.message.size()).sum();
            room = Room {
                messages: room.messages.saturating_sub(records.len()),
                bytes: room.bytes.saturating_sub(bytes),
            };
            let (topic, partition) = (&track.topic, track.partition);
            self.link.push(
                lane,
                records.into_iter().map(|record| Arrival {
                    position: Position { topic: topic.clone(), partition, offset: record.offset },
                    message: record.message,
                }),
            );
            self.last = tp;
        }
        Ok(())
    }
}

/// A thread that panics must not leave its subscriber waiting.
impl Drop for Feed {
    fn drop(&mut self) {
        let died = Error::new(ErrorKind::Other, "reader thread has died");
        self.link.end(Some(died.clone()), Err(died));
    }
}
