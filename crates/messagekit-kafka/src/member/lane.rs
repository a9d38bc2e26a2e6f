//! A partition under one assignment.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::adapter::{Delivery, Receipt, Watermark};
use messagekit::{Message, Position};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};

use super::proof::{self, Fingerprint, Positions};
use super::start::Start;
use crate::context::Context;
use crate::memory::Memory;
use crate::record;

/// How many records of a lane, and how many bytes, are taken from librdkafka at a time.
const FETCHED: usize = 32;
const FETCHED_BYTES: usize = 256 * 1024;

/// The offset to commit for a partition.
pub(super) struct NextOf {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) metadata: String,
}

/// How far a lane is settled.
pub(crate) struct Standing {
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
    /// The offset of the oldest unsettled record, or of the next one to fetch.
    pub(crate) next: i64,
    /// When that record was written, in milliseconds since 1970; `None` until it is fetched.
    pub(crate) written: Option<i64>,
}

/// A record on its way to the handled prefix.
struct Reached {
    offset: i64,
    print: Fingerprint,
    written: Option<i64>,
}

impl Reached {
    fn of(record: &BorrowedMessage<'_>) -> Self {
        let written = record.timestamp().to_millis();
        Self { offset: record.offset(), print: Fingerprint::of(record), written }
    }
}

/// A partition under one assignment: its queue, its messages in flight and its handled offset.
pub(super) struct Lane {
    pub(super) id: messagekit::adapter::Lane,
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Back-pressure: a paused lane does not poll its queue.
    queue: PartitionQueue<Context>,
    /// Records that were taken from the queue, or arrived outside of it, and are not delivered; they precede it.
    early: VecDeque<(i64, Message)>,
    pub(super) stage: Stage,
    pub(super) paused: bool,
    /// The offset after the last fetched one.
    next: i64,
    deliveries: u64,
    /// Delivered, neither settled nor released; by delivery position, because an offset repeats after a release.
    out: BTreeMap<u64, (i64, Message)>,
    /// Released; delivered before all other messages.
    back: BTreeMap<i64, Message>,
    watermark: Watermark,
    /// Delivered and not yet part of the handled prefix, in order.
    prints: VecDeque<Reached>,
    /// The last record of the handled prefix.
    last: Option<(i64, Fingerprint)>,
    /// The positions that the database remembers: it has committed every settled message.
    remembered: Positions,
    /// The id of the topic that the lane reads, once the client has learned it.
    pub(super) topic_id: Option<Arc<str>>,
    /// Grows with each release.
    pub(super) round: u32,
    /// The offset that the group has confirmed.
    pub(super) durable: Option<i64>,
    /// The last offset that was sent as a hint, and when.
    pub(super) hinted: i64,
    pub(super) hinted_at: Instant,
    /// The offset that the group confirmed while the lane was idle. An earlier hint may still arrive after it, so the
    /// lane's last commit does not rely on it.
    pub(super) confirmed: Option<i64>,
}

/// The stage of an assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The start offset is not committed yet, so nothing is delivered: otherwise the positions in the database would
    /// look like a lost offset.
    Opening,
    Open,
    Leaving,
}

impl Lane {
    pub(super) fn new(id: messagekit::adapter::Lane, start: Start, queue: PartitionQueue<Context>) -> Self {
        let durable = start.committed();
        let Start { partition: (topic, partition), offset, last, remembered, topic_id, .. } = start;
        Self {
            id,
            topic,
            partition,
            queue,
            early: VecDeque::new(),
            stage: if durable.is_some() { Stage::Open } else { Stage::Opening },
            paused: false,
            next: offset,
            deliveries: 0,
            out: BTreeMap::new(),
            back: BTreeMap::new(),
            watermark: Watermark::new(),
            prints: VecDeque::new(),
            last: last.map(|print| (offset - 1, print)),
            remembered,
            topic_id,
            round: 0,
            durable,
            hinted: offset,
            hinted_at: Instant::now(),
            confirmed: None,
        }
    }

    /// Returns the name of the partition, which is the same in every process.
    pub(super) fn name(&self) -> Arc<str> {
        Arc::from(format!("{}/{}", self.topic, self.partition))
    }

    pub(super) fn is_delivering(&self) -> bool {
        self.stage == Stage::Open && !self.paused
    }

    /// Takes the next fetched message, or returns `None` when no fetched message is left.
    pub(super) fn take(&mut self) -> Option<Delivery> {
        let (offset, message) = self.back.pop_first().or_else(|| self.early.pop_front())?;
        self.deliveries += 1;
        self.out.insert(self.deliveries, (offset, message.clone()));
        let receipt = Receipt::new(self.id, self.deliveries);
        Some(Delivery { message, position: Some(self.place(offset)), receipt })
    }

    fn place(&self, offset: i64) -> Position {
        Position { topic: self.topic.clone(), partition: self.partition, offset }
    }

    /// Takes some records from librdkafka when those before them are delivered; returns whether there were any.
    ///
    /// # Errors
    /// The error of librdkafka for the partition. Records before it were taken.
    pub(super) fn fetch(&mut self) -> Result<bool, KafkaError> {
        if !self.early.is_empty() {
            return Ok(false);
        }
        let mut bytes = 0;
        while self.early.len() < FETCHED && bytes < FETCHED_BYTES {
            match self.queue.poll(Duration::ZERO) {
                None => break,
                Some(Err(error)) => return Err(error),
                // A repeated record of this assignment: it is in flight, settled or queued here already.
                Some(Ok(record)) if record.offset() < self.next => {}
                Some(Ok(record)) => {
                    let (reached, message) = (Reached::of(&record), record::read(&record, &self.topic));
                    bytes += message.size();
                    self.early.push_back((reached.offset, message));
                    self.reached(reached);
                }
            }
        }
        Ok(!self.early.is_empty())
    }

    /// Keeps a record that arrived before the partition had its own queue.
    pub(super) fn keep_early(&mut self, record: &BorrowedMessage<'_>) {
        if record.offset() >= self.next {
            self.reached(Reached::of(record));
            self.early.push_back((record.offset(), record::read(record, &self.topic)));
        }
    }

    fn reached(&mut self, reached: Reached) {
        self.next = reached.offset + 1;
        self.watermark.delivered(position(reached.offset));
        self.prints.push_back(reached);
    }

    /// Settles one delivery; returns false if it does not belong to this assignment.
    pub(super) fn settle(&mut self, receipt: &Receipt, memory: &Memory) -> bool {
        let Some((offset, message)) = self.out.remove(&receipt.position()) else { return false };
        if let Some(key_lane) = memory.key_lane(&message, &self.place(offset)) {
            let next = self.remembered.entry(key_lane).or_default();
            *next = (*next).max(offset + 1);
        }
        let is_settled = self.watermark.settled(position(offset));
        let finished = self.watermark.finished();
        while let Some(reached) =
            self.prints.pop_front_if(|reached| finished >= Some(position(reached.offset)))
        {
            self.last = Some((reached.offset, reached.print));
        }
        is_settled
    }

    /// Returns how far the lane is settled. Offsets without a record before the oldest unsettled one do not count.
    pub(super) fn standing(&self) -> Standing {
        let oldest = self.prints.front();
        Standing {
            topic: Arc::clone(&self.topic),
            partition: self.partition,
            next: oldest.map_or(self.next, |oldest| oldest.offset),
            written: oldest.and_then(|oldest| oldest.written),
        }
    }

    /// Takes one delivery back.
    pub(super) fn release(&mut self, receipt: &Receipt) {
        if let Some((offset, message)) = self.out.remove(&receipt.position()) {
            self.back.insert(offset, message);
        }
    }

    /// Takes back the deliveries after `taken`, which the subscriber drops: they are delivered again in the new
    /// round.
    pub(super) fn rewind(&mut self, taken: u64, round: u32) {
        self.round = round;
        self.back.extend(self.out.split_off(&(taken + 1)).into_values());
    }

    /// Returns the offset after the handled prefix; `None` if the group has it already.
    pub(super) fn moved(&self) -> Option<i64> {
        let next = self.handled()?;
        (Some(next) != self.durable).then_some(next)
    }

    /// Returns the commit that makes the lane resume at `offset`.
    pub(super) fn next_at(&self, offset: i64) -> NextOf {
        let last = self.last.filter(|(last, _)| last + 1 == offset).map(|(_, print)| print);
        let metadata = proof::metadata(offset, last, self.topic_id.as_deref(), &self.remembered);
        NextOf { topic: self.topic.clone(), partition: self.partition, offset, metadata }
    }

    /// Returns the offset after the prefix that is handled without a gap.
    pub(super) fn handled(&self) -> Option<i64> {
        match self.watermark.finished() {
            Some(finished) => Some(i64::try_from(finished).expect("it was an offset") + 1),
            None if self.stage == Stage::Opening => Some(self.hinted),
            None => None,
        }
    }

    /// Returns the offset after the last delivered one.
    pub(super) fn delivered(&self) -> i64 {
        self.early.front().map_or(self.next, |(offset, _)| *offset)
    }

    /// Returns the next offset to fetch.
    pub(super) fn wanted(&self) -> i64 {
        self.next
    }
}

fn position(offset: i64) -> u64 {
    u64::try_from(offset).expect("offsets of records are not negative")
}
