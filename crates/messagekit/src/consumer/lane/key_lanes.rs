//! Key lanes: divides a lane of the source by key.
//!
//! The loop sees each key lane as a separate lane with its own batch, transaction and turn. A key always maps to the same key
//! lane, so its order is kept. The source reorders receipts that key lanes settle out of order, as it does for retries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use crate::fnv::fnv1a;
use crate::transport::{Delivery, Done, Incoming, LagProbe, Lane, Receipt, Subscriber};
use crate::{Error, Message, Position};

/// Maximum lead of a key lane over the slowest one of its lane, in messages: this many may be delivered again after a crash.
const AHEAD: u64 = 4_096;

/// Returns the key lane of a message. Messages without a key have no order and are distributed in turn.
pub(in crate::consumer) fn key_lane_of(
    message: &Message,
    position: Option<&Position>,
    sequence: u64,
    key_lanes: NonZeroU32,
) -> u32 {
    let number = match (&message.key, position) {
        (Some(key), _) => fnv1a(key.iter().copied()),
        (None, Some(position)) => position.offset.unsigned_abs(),
        (None, None) => sequence,
    };
    u32::try_from(number % u64::from(key_lanes.get())).expect("a remainder of 32 bits")
}

/// A subscriber whose lanes are divided by key.
pub(in crate::consumer) struct KeyLanes<Sub> {
    inner: Sub,
    count: NonZeroU32,
    source_lanes: BTreeMap<u32, SourceLane>,
    /// Events for the other key lanes of a lane that follow from one event of the source.
    queued: VecDeque<Incoming>,
}

/// A lane of the source.
struct SourceLane {
    lane: Lane,
    /// The key lanes that are paused.
    paused: BTreeSet<u32>,
    /// One key lane is too far ahead of another.
    stretched: bool,
    /// Delivered and unsettled positions.
    open: BTreeSet<u64>,
    newest: u64,
}

impl SourceLane {
    fn new(lane: Lane) -> Self {
        Self { lane, paused: BTreeSet::new(), stretched: false, open: BTreeSet::new(), newest: 0 }
    }

    fn ahead(&self) -> u64 {
        self.open.first().map_or(0, |oldest| self.newest - oldest)
    }

    fn is_held(&self) -> bool {
        self.stretched || !self.paused.is_empty()
    }
}

impl<Sub: Subscriber> KeyLanes<Sub> {
    pub(in crate::consumer) fn new(inner: Sub, count: NonZeroU32) -> Self {
        Self { inner, count, source_lanes: BTreeMap::new(), queued: VecDeque::new() }
    }

    fn key_lanes(&self, lane: Lane) -> impl Iterator<Item = Lane> + use<Sub> {
        let count = self.count.get();
        (0..count).map(move |key_lane| Lane { slot: lane.slot * count + key_lane, ..lane })
    }

    /// Returns the names of the key lanes of a lane, which are equal in every process.
    fn names(&self, lane: &Arc<str>) -> impl Iterator<Item = Arc<str>> + use<Sub> {
        let (lane, count) = (Arc::clone(lane), self.count.get());
        (0..count).map(move |key_lane| match count {
            1 => Arc::clone(&lane),
            _ => Arc::from(format!("{lane}/{key_lane}")),
        })
    }

    /// Returns the lane of the source, and the number of the key lane in it.
    fn source_of(&self, lane: Lane) -> (Lane, u32) {
        let count = self.count.get();
        (Lane { slot: lane.slot / count, ..lane }, lane.slot % count)
    }

    fn source_lane(&mut self, lane: Lane) -> Option<&mut SourceLane> {
        self.source_lanes.get_mut(&lane.slot).filter(|source_lane| source_lane.lane == lane)
    }

    fn delivered(&mut self, delivery: Delivery) -> Incoming {
        let Delivery { message, position, receipt } = delivery;
        let (lane, sequence) = (receipt.lane(), receipt.position());
        let key_lane = key_lane_of(&message, position.as_ref(), sequence, self.count);
        let mut stretches = false;
        if let Some(source_lane) = self.source_lane(lane) {
            source_lane.open.insert(sequence);
            source_lane.newest = source_lane.newest.max(sequence);
            if !source_lane.stretched && source_lane.ahead() > AHEAD {
                stretches = !source_lane.is_held();
                source_lane.stretched = true;
            }
        }
        if stretches {
            self.inner.pause(lane);
        }
        let lane = Lane { slot: lane.slot * self.count.get() + key_lane, ..lane };
        Incoming::Message(Delivery { message, position, receipt: Receipt::new(lane, sequence) })
    }

    /// Converts receipts of key lanes to receipts of their lanes, and removes them from the open ones.
    fn close_receipts(&mut self, receipts: &mut Vec<Receipt>) -> Vec<Receipt> {
        let of_lane = |receipt: Receipt| {
            let (lane, _) = self.source_of(receipt.lane());
            if let Some(source_lane) = self.source_lane(lane) {
                source_lane.open.remove(&receipt.position());
            }
            Receipt::new(lane, receipt.position())
        };
        std::mem::take(receipts).into_iter().map(of_lane).collect()
    }

    fn resume_where_close(&mut self) {
        for source_lane in self
            .source_lanes
            .values_mut()
            .filter(|source_lane| source_lane.stretched && source_lane.ahead() <= AHEAD / 2)
        {
            source_lane.stretched = false;
            if !source_lane.is_held() {
                self.inner.resume(source_lane.lane);
            }
        }
    }
}

impl<Sub: Subscriber> Subscriber for KeyLanes<Sub> {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Incoming, Error>>> {
        if let Some(incoming) = self.queued.pop_front() {
            return Poll::Ready(Some(Ok(incoming)));
        }
        let incoming = match ready!(self.inner.poll_next(cx)) {
            Some(Ok(incoming)) => incoming,
            other => return Poll::Ready(other),
        };
        match incoming {
            Incoming::Message(delivery) => return Poll::Ready(Some(Ok(self.delivered(delivery)))),
            Incoming::Assigned { lane, name } => {
                self.source_lanes.insert(lane.slot, SourceLane::new(lane));
                let key_lanes = self.key_lanes(lane).zip(self.names(&name));
                self.queued.extend(key_lanes.map(|(lane, name)| Incoming::Assigned { lane, name }));
            }
            Incoming::Revoking { lane, done } => {
                // The last key lane reports that the lane is free.
                let done = Arc::new(Mutex::new(done));
                let part = |lane| {
                    let done = Arc::clone(&done);
                    Incoming::Revoking { lane, done: Done::new(move || drop(done)) }
                };
                self.queued.extend(self.key_lanes(lane).map(part));
            }
            Incoming::Lost { lane } => {
                self.queued.extend(self.key_lanes(lane).map(|lane| Incoming::Lost { lane }));
                if self.source_lane(lane).is_some() {
                    self.source_lanes.remove(&lane.slot);
                }
            }
        }
        Poll::Ready(self.queued.pop_front().map(Ok))
    }

    fn pause(&mut self, lane: Lane) {
        let (lane, key_lane) = self.source_of(lane);
        let Some(source_lane) = self.source_lane(lane) else { return };
        let was_held = source_lane.is_held();
        source_lane.paused.insert(key_lane);
        if !was_held {
            self.inner.pause(lane);
        }
    }

    fn resume(&mut self, lane: Lane) {
        let (lane, key_lane) = self.source_of(lane);
        let Some(source_lane) = self.source_lane(lane) else { return };
        if source_lane.paused.remove(&key_lane) && !source_lane.is_held() {
            self.inner.resume(lane);
        }
    }

    fn settle(&mut self, done: &mut Vec<Receipt>) {
        let mut done = self.close_receipts(done);
        self.inner.settle(&mut done);
        self.resume_where_close();
    }

    fn lag(&self) -> Option<Arc<dyn LagProbe>> {
        self.inner.lag()
    }

    fn held_lanes(&self) -> Vec<Lane> {
        self.inner.held_lanes().into_iter().flat_map(|lane| self.key_lanes(lane)).collect()
    }

    fn release(&mut self, back: &mut Vec<Receipt>) {
        let mut back = self.close_receipts(back);
        self.inner.release(&mut back);
        self.resume_where_close();
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.inner.poll_close(cx)
    }
}

#[cfg(test)]
#[path = "key_lanes_tests.rs"]
mod tests;
