//! The shards of a relay: the next read, batches in flight, and confirmed events. Pure: no clock, no database and no broker.
//!
//! Times count from the start of the relay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::confirmed::Confirmed;
use super::publish_batch::{Ended, PublishBatch, Row};
use super::settings::{IN_FLIGHT, SIDE_BY_SIDE};
use super::topics::{PATIENCE, Topics};
use super::{Leases, Page, ShardLease, ShardRead};
use crate::Backoff;

/// Interval of reads from the beginning of a shard, which find late commits.
const FULL_EVERY: Duration = Duration::from_millis(200);
/// Slow reads from the beginning take at most `1 / FULL_PART` of the time.
const FULL_PART: u32 = 8;
/// If reads of several shards from the beginning take this much longer than usual reads, fewer shards are read at once. New
/// events wait during such reads.
const FULL_AT_ONCE: Duration = Duration::from_millis(50);

/// Before the first position.
const BEGINNING: i64 = i64::MIN;

pub(super) struct Shards {
    /// Number of calls in flight before reading stops, without those of paused topics.
    calls: usize,
    /// Number of events waiting for deletion before reading stops.
    undeleted: usize,
    shards: BTreeMap<u16, Shard>,
    valid_until: Duration,
    lost: bool,
    reading: Option<OutboxRead>,
    /// The server whose positions are known, from the first page on.
    server: Option<String>,
    reads: u64,
    /// Number of shards that one read may take from their beginnings because their interval has passed.
    full_at_once: usize,
    /// Duration of a read that takes no shard from its beginning.
    usual: Duration,
    parts: BTreeMap<u64, InFlight>,
    next_part: u64,
    /// Topics with events in flight, by shard. An entry may outlive the lease of the shard.
    busy: BTreeMap<u16, BTreeSet<Arc<str>>>,
    pub(super) confirmed: Confirmed,
    pub(super) topics: Topics,
}

struct Shard {
    epoch: i64,
    /// No new event can appear before it, except events that were paused or put back; these reset it. It is only an
    /// optimization: the shard is also read from its beginning.
    floor: i64,
    /// Time of the next read from the beginning.
    full_at: Duration,
    /// There may be new events.
    wanted: bool,
    /// The number of the last read that included it: shards with older reads go first.
    served: u64,
    /// The shard will be handed over and is not read any more.
    leaving: bool,
}

/// A read of the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct OutboxRead {
    pub(super) wanted: Vec<ShardRead>,
    pub(super) except: Vec<i64>,
    pub(super) paused: Vec<Arc<str>>,
    started: Duration,
}

struct InFlight {
    topic: Arc<str>,
    shards: BTreeSet<u16>,
    /// Payloads, keys and headers.
    bytes: usize,
    started: Duration,
    /// It was read from another server.
    is_former: bool,
}

impl Shards {
    pub(super) fn new(calls: usize, undeleted: usize, outage: Backoff, no_room: Backoff) -> Self {
        Self {
            calls,
            undeleted,
            shards: BTreeMap::new(),
            valid_until: Duration::ZERO,
            lost: false,
            reading: None,
            server: None,
            reads: 0,
            full_at_once: usize::MAX,
            usual: Duration::ZERO,
            parts: BTreeMap::new(),
            next_part: 0,
            busy: BTreeMap::new(),
            confirmed: Confirmed::default(),
            topics: Topics::new(outage, no_room),
        }
    }

    /// Records the leases, which are valid until `valid_until` at least.
    pub(super) fn leased(&mut self, valid_until: Duration, leases: &Leases) {
        self.valid_until = valid_until;
        let mut before = std::mem::take(&mut self.shards);
        for lease in &leases.held {
            let known = before.remove(&lease.shard).filter(|number| number.epoch == lease.epoch);
            self.shards.insert(lease.shard, known.unwrap_or_else(|| Shard::new(lease.epoch)));
        }
        let mut leaving = self.shards.values().filter(|number| number.leaving).count();
        for number in self.shards.values_mut().rev() {
            let leaves = match number.leaving {
                true => leaving <= leases.surplus,
                false => leaving < leases.surplus,
            };
            leaving = leaving + usize::from(leaves) - usize::from(number.leaving);
            number.leaving = leaves;
        }
    }

    /// Returns whether a shard was lost since the last call.
    pub(super) fn take_lost(&mut self) -> bool {
        std::mem::take(&mut self.lost)
    }

    /// Removes and returns surplus shards that have no call in flight worth waiting for.
    pub(super) fn take_surplus(&mut self, now: Duration) -> Vec<ShardLease> {
        let is_read = |shard| {
            self.reading.as_ref().is_some_and(|read| read.wanted.iter().any(|one| one.lease.shard == shard))
        };
        let has_call = |shard| self.awaited(now).any(|part| part.shards.contains(&shard));
        let at_rest = |shard| !has_call(shard) && !self.confirmed.has(shard) && !is_read(shard);
        let leaving = self.shards.iter().filter(|(shard, number)| number.leaving && at_rest(**shard));
        let leaving: Vec<ShardLease> =
            leaving.map(|(shard, number)| ShardLease { shard: *shard, epoch: number.epoch }).collect();
        for lease in &leaving {
            self.shards.remove(&lease.shard);
        }
        leaving
    }

    /// Returns whether a stop waits only for overdue calls: other relays may then take the shards.
    pub(super) fn waits_in_vain(&self, now: Duration) -> bool {
        let is_settled = self.reading.is_none() && self.confirmed.len() == 0;
        is_settled && !self.is_at_rest() && self.awaited(now).next().is_none()
    }

    /// Returns the batches in flight that prevent a handover of their shards. Overdue batches do not: the next owner of the
    /// shard publishes them again, and a late answer is harmless. Events that the broker confirms are deleted whichever relay
    /// reports them. Rejected events stay, because the lease is lost.
    fn awaited(&self, now: Duration) -> impl Iterator<Item = &InFlight> {
        self.parts.values().filter(move |part| now < part.started + PATIENCE)
    }

    /// Marks all shards as possibly having new events.
    pub(super) fn wake(&mut self) {
        self.shards.values_mut().for_each(|number| number.wanted = true);
    }

    /// Resets all shards: there may be new events before their floors.
    pub(super) fn fall(&mut self) {
        self.shards.values_mut().for_each(Shard::fall);
    }

    /// Applies the passage of time.
    pub(super) fn pass(&mut self, now: Duration) {
        if self.topics.resume(now) {
            self.fall();
        }
        for part in self.parts.values() {
            if part.started + PATIENCE <= now && !self.topics.is_paused(&part.topic) {
                self.topics.unanswered(&part.topic, part.started);
            }
        }
        let parts = &self.parts;
        self.topics.forget(now, |topic| parts.values().any(|part| *part.topic == *topic));
    }

    /// Returns the next time at which [`pass`](Self::pass) has an effect, or a call becomes overdue.
    pub(super) fn next(&self, now: Duration) -> Option<Duration> {
        let patience = self.awaited(now).map(|part| part.started + PATIENCE).min();
        patience.into_iter().chain(self.topics.next()).min()
    }

    /// Returns whether a read is due and allowed.
    pub(super) fn may_read(&self, now: Duration) -> bool {
        let running = self.parts.values().filter(|part| !self.topics.is_paused(&part.topic));
        let (calls, bytes) = running.fold((0, 0), |(calls, bytes), part| (calls + 1, bytes + part.bytes));
        self.reading.is_none()
            && now < self.valid_until
            && calls < self.calls
            && (bytes < IN_FLIGHT || calls < SIDE_BY_SIDE)
            && self.confirmed.len() < self.undeleted
            && self.due().next().is_some()
    }

    /// Returns the shards that want a read, each with the number of the read that served it last.
    fn due(&self) -> impl Iterator<Item = (u64, u16)> {
        let wanted = self.shards.iter().filter(|(_, number)| number.wanted && !number.leaving);
        wanted.filter(|(shard, _)| self.is_free(**shard)).map(|(shard, number)| (number.served, *shard))
    }

    /// Starts a read if one is due and allowed.
    pub(super) fn start_read(&mut self, now: Duration) -> Option<OutboxRead> {
        if !self.may_read(now) {
            return None;
        }
        let mut due: Vec<(u64, u16)> = self.due().collect();
        due.sort_unstable();
        let (mut wanted, mut except) = (Vec::with_capacity(due.len()), Vec::new());
        let mut room = self.full_at_once;
        for (_, shard) in due {
            let Some(number) = self.shards.get_mut(&shard) else { continue };
            number.wanted = false;
            let mut above = number.floor;
            // A reset shard cannot wait: the next events to publish are before its floor.
            if number.full_at.is_zero() || number.full_at <= now && room > 0 {
                room = room.saturating_sub(1);
                // The answer sets the time again; a reset in between is not lost.
                number.full_at = Duration::MAX;
                above = BEGINNING;
            }
            except.extend(self.confirmed.above(shard, above));
            wanted.push(ShardRead { lease: ShardLease { shard, epoch: number.epoch }, above });
        }
        let read = OutboxRead { wanted, except, paused: self.topics.paused(), started: now };
        self.reading = Some(read.clone());
        Some(read)
    }

    /// A shard is free if all its events in flight belong to paused topics, which its next read leaves out.
    fn is_free(&self, shard: u16) -> bool {
        self.busy.get(&shard).is_none_or(|topics| topics.iter().all(|topic| self.topics.is_paused(topic)))
    }

    /// Records that a read got no answer.
    pub(super) fn unanswered(&mut self) {
        for wanted in self.reading.take().into_iter().flat_map(|read| read.wanted) {
            self.shards.get_mut(&wanted.lease.shard).into_iter().for_each(Shard::fall);
        }
    }

    /// Takes a page and returns the batches to publish.
    pub(super) fn answered(&mut self, now: Duration, page: Page) -> Vec<PublishBatch> {
        if now >= self.valid_until {
            // Another relay may own these shards now.
            self.unanswered();
            return Vec::new();
        }
        if self.is_of_another_server(&page) {
            // Events read behind the positions of the former server may have passed an earlier event.
            self.reading = None;
            return Vec::new();
        }
        let Some(read) = self.reading.take() else { return Vec::new() };
        self.reads += 1;
        let full_again = self.full_again(&read, now);
        let last = page.rows.last().map(|row| row.shard);
        let mut leases = BTreeMap::new();
        let mut is_beyond_cut = false;
        for wanted in &read.wanted {
            let shard = wanted.lease.shard;
            let is_cut = page.more && last == Some(shard);
            let is_served = !is_beyond_cut;
            is_beyond_cut |= is_cut;
            let Some(number) =
                self.shards.get_mut(&shard).filter(|number| number.epoch == wanted.lease.epoch)
            else {
                continue;
            };
            if page.lost.contains(&shard) {
                self.shards.remove(&shard);
                self.lost = true;
                continue;
            }
            leases.insert(shard, wanted.lease);
            let known = match page.rows.last() {
                Some(end) if is_cut => end.seq.min(page.stable),
                _ => page.stable,
            };
            number.answered(wanted.above, is_served.then_some(known), is_cut, full_again);
            if is_served {
                number.served = self.reads;
            }
        }
        let mut by_topic: BTreeMap<Arc<str>, Vec<Row>> = BTreeMap::new();
        for event in page.rows {
            let Some(lease) = leases.get(&event.shard) else { continue };
            // Events of a topic that was paused meanwhile are read again when the pause ends.
            if !self.topics.is_paused(&event.message.topic) {
                let rows = by_topic.entry(event.message.topic.clone()).or_default();
                rows.push(Row { lease: *lease, event });
            }
        }
        by_topic.into_iter().map(|(topic, rows)| self.begin(now, topic, rows)).collect()
    }

    /// Returns whether a page is the first of another server than the pages before it. If so, clears the known positions.
    fn is_of_another_server(&mut self, page: &Page) -> bool {
        let before = self.server.replace(page.server.clone());
        let is_another = before.is_some_and(|before| before != page.server);
        if is_another {
            self.parts.values_mut().for_each(|part| part.is_former = true);
            self.confirmed.forget_positions();
            self.fall();
        }
        is_another
    }

    /// Returns when the shards of a read are read from their beginnings again, and sets how many at once.
    fn full_again(&mut self, read: &OutboxRead, now: Duration) -> Duration {
        let took = now - read.started;
        let full = read.wanted.iter().filter(|wanted| wanted.above == BEGINNING).count();
        let longer = took.saturating_sub(self.usual);
        match full {
            0 => self.usual = took,
            _ if longer > FULL_AT_ONCE => self.full_at_once = (full / 2).max(1),
            _ => self.full_at_once = self.full_at_once.max(full.saturating_mul(2)),
        }
        let reads = self.shards.len().div_ceil(full.max(1));
        let part = FULL_PART.saturating_mul(u32::try_from(reads).unwrap_or(u32::MAX));
        read.started + FULL_EVERY.max(longer.saturating_mul(part))
    }

    fn begin(&mut self, now: Duration, topic: Arc<str>, rows: Vec<Row>) -> PublishBatch {
        let number = self.next_part;
        self.next_part += 1;
        let shards: BTreeSet<u16> = rows.iter().map(|row| row.lease.shard).collect();
        let bytes = rows.iter().map(|row| row.event.message.size()).sum();
        for shard in &shards {
            self.busy.entry(*shard).or_default().insert(topic.clone());
        }
        let part = InFlight { topic: topic.clone(), shards, bytes, started: now, is_former: false };
        self.parts.insert(number, part);
        PublishBatch { number, topic, rows }
    }

    /// Records the end of a batch.
    pub(super) fn ended(&mut self, now: Duration, ended: Ended) {
        let Some(part) = self.parts.remove(&ended.number) else { return };
        for shard in &part.shards {
            if let Some(topics) = self.busy.get_mut(shard) {
                topics.remove(&part.topic);
                if topics.is_empty() {
                    self.busy.remove(shard);
                }
            }
        }
        let took = !ended.confirmed.is_empty();
        for entry in ended.confirmed {
            match part.is_former {
                true => self.confirmed.add_former(entry),
                false => self.confirmed.add(entry),
            }
        }
        for shard in ended.again {
            self.shards.get_mut(&shard).into_iter().for_each(Shard::fall);
        }
        let is_last = !self.parts.values().any(|other| other.topic == part.topic);
        if is_last && self.topics.answered(&part.topic, now) {
            self.fall();
        }
        if took {
            self.topics.took(&part.topic, now);
        }
        if let Some(outage) = ended.outage {
            self.topics.failed(&part.topic, now, outage);
        }
    }

    pub(super) fn is_at_rest(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn held(&self) -> usize {
        self.shards.len()
    }

    pub(super) fn valid_until(&self) -> Duration {
        self.valid_until
    }
}

impl Shard {
    fn new(epoch: i64) -> Self {
        Self { epoch, floor: BEGINNING, full_at: Duration::ZERO, wanted: true, served: 0, leaving: false }
    }

    /// Schedules a read from the beginning.
    fn fall(&mut self) {
        self.full_at = Duration::ZERO;
        self.wanted = true;
    }

    /// Records a read that began behind `above`. No event can appear up to `known`; it is `None` if the shard was not read.
    fn answered(&mut self, above: i64, known: Option<i64>, is_cut: bool, full_again: Duration) {
        let Some(known) = known else {
            self.wanted = true;
            if above == BEGINNING {
                self.full_at = Duration::ZERO;
            }
            return;
        };
        self.wanted |= is_cut;
        // It may decrease if the outbox knows less than before.
        self.floor = known;
        if self.full_at == Duration::MAX {
            self.full_at = full_again;
        }
    }
}

#[cfg(test)]
#[path = "shards_tests.rs"]
mod tests;
