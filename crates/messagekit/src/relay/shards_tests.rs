//! The shards against a naive outbox: all orders of commits, answers, outages, leases, failovers and operator actions.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::super::publish_batch::Outage;
use super::super::{Pending, PendingId};
use super::*;
use crate::Message;

const SHARDS: u16 = 3;
const LEASE: Duration = Duration::from_millis(1_000);
/// Fewer than a shard may contain, so reads are incomplete.
const LIMIT: usize = 3;
const CALLS: usize = 2;
const UNDELETED: usize = 8;

/// A stream whose order matters: its topic and its key. The key alone determines the shard.
type Stream = (u8, u8);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Pending,
    SetAside,
}

#[derive(Clone, Copy, Debug)]
struct Event {
    stream: Stream,
    state: State,
    /// Identifies the event, because positions are assigned twice.
    number: i64,
}

impl Event {
    fn is(self, stream: Stream, state: State) -> bool {
        (self.stream, self.state) == (stream, state)
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Begin(Stream),
    Commit(usize),
    Rollback(usize),
    Read,
    Answer,
    LoseAnswer,
    End {
        part: usize,
        ok: usize,
        fate: Fate,
    },
    Delete {
        works: bool,
    },
    Lease {
        held: u8,
        surplus: usize,
    },
    TakenByAnother(u16),
    PutBack,
    HandOver,
    Wake,
    Pass(u64),
    /// A standby that lacks the last positions takes over.
    FailOver(i64),
}

/// The outcome for the events of each stream behind the first `ok` events of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Confirmed,
    Outage,
    Rejected,
}

struct World {
    now: Duration,
    next: i64,
    rows: BTreeMap<i64, Event>,
    /// The number of events, including lost ones.
    begun: i64,
    /// The number of failed servers before the current one.
    failovers: u64,
    /// Batches that were read from a server that has failed since.
    former: BTreeSet<u64>,
    /// Events that the relay has confirmed and need not publish again.
    published: BTreeSet<i64>,
    epochs: [i64; SHARDS as usize],
    ours: [bool; SHARDS as usize],
    answer: Option<(BTreeSet<u16>, Page)>,
    parts: Vec<PublishBatch>,
    /// The start time of each batch.
    began: BTreeMap<u64, Duration>,
    shards: Shards,
}

fn stream_of(event: &Pending) -> Stream {
    let key = event.message.key.as_ref().unwrap()[0];
    (event.message.topic.parse().unwrap(), key)
}

fn shard_of(stream: Stream) -> u16 {
    u16::from(stream.1) % SHARDS
}

impl World {
    fn new() -> Self {
        let backoff = Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2));
        Self {
            now: Duration::ZERO,
            next: 1,
            rows: BTreeMap::new(),
            begun: 0,
            failovers: 0,
            former: BTreeSet::new(),
            published: BTreeSet::new(),
            epochs: [1; SHARDS as usize],
            ours: [false; SHARDS as usize],
            answer: None,
            parts: Vec::new(),
            began: BTreeMap::new(),
            shards: Shards::new(CALLS, UNDELETED, backoff, backoff),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Begin(stream) => {
                // The writers of one key take turns.
                if !self.rows.values().any(|row| row.is(stream, State::Open)) {
                    self.begun += 1;
                    let event = Event { stream, state: State::Open, number: self.begun };
                    self.rows.insert(self.next, event);
                    self.next += 1;
                }
            }
            Step::Commit(which) => {
                if let Some(seq) = self.open(which) {
                    self.rows.get_mut(&seq).unwrap().state = State::Pending;
                }
            }
            Step::Rollback(which) => {
                if let Some(seq) = self.open(which) {
                    self.rows.remove(&seq);
                }
            }
            Step::Read => self.start_read(),
            Step::Answer => self.take_answer(),
            Step::LoseAnswer => {
                if self.answer.take().is_some() {
                    self.shards.unanswered();
                }
            }
            Step::End { part, ok, fate } => {
                if !self.parts.is_empty() {
                    let part = self.parts.remove(part % self.parts.len());
                    self.end(part, ok, fate);
                }
            }
            Step::Delete { works } => self.delete(works),
            Step::Lease { held, surplus } => self.lease(|shard| held & (1 << shard) != 0, surplus),
            Step::TakenByAnother(shard) => {
                self.epochs[usize::from(shard)] += 1;
                self.ours[usize::from(shard)] = false;
            }
            Step::PutBack => {
                for shard in 0..SHARDS {
                    let mut any = false;
                    for row in self.rows.values_mut() {
                        if row.state == State::SetAside && shard_of(row.stream) == shard {
                            row.state = State::Pending;
                            any = true;
                        }
                    }
                    self.epochs[usize::from(shard)] += i64::from(any);
                }
            }
            Step::HandOver => {
                for lease in self.shards.take_surplus(self.now) {
                    let awaited =
                        self.parts.iter().filter(|part| self.now < self.began[&part.number] + PATIENCE);
                    let mut awaited = awaited.flat_map(|part| &part.rows);
                    assert!(!awaited.any(|row| row.lease.shard == lease.shard));
                    let is_read = self.answer.as_ref().is_some_and(|(read, _)| read.contains(&lease.shard));
                    assert!(!is_read, "a shard is handed over that is being read");
                    if self.epochs[usize::from(lease.shard)] == lease.epoch {
                        self.ours[usize::from(lease.shard)] = false;
                    }
                }
            }
            Step::Wake => self.shards.wake(),
            Step::Pass(millis) => {
                self.now += Duration::from_millis(millis);
                self.shards.pass(self.now);
            }
            Step::FailOver(lost) => self.fail_over(lost),
        }
    }

    /// Open transactions are rolled back, and the last positions are assigned again.
    fn fail_over(&mut self, lost: i64) {
        self.failovers += 1;
        self.next = (self.next - lost).max(1);
        let next = self.next;
        self.rows.retain(|seq, row| *seq < next && row.state != State::Open);
        self.former = self.parts.iter().map(|part| part.number).collect();
        self.published.clear();
    }

    fn open(&self, which: usize) -> Option<i64> {
        let open: Vec<i64> =
            self.rows.iter().filter(|(_, row)| row.state == State::Open).map(|(seq, _)| *seq).collect();
        (!open.is_empty()).then(|| open[which % open.len()])
    }

    fn lease(&mut self, holds: impl Fn(u16) -> bool, surplus: usize) {
        let mut held = Vec::new();
        for shard in 0..SHARDS {
            let at = usize::from(shard);
            if holds(shard) {
                self.epochs[at] += i64::from(!self.ours[at]);
                held.push(ShardLease { shard, epoch: self.epochs[at] });
            }
            self.ours[at] = holds(shard);
        }
        self.shards.leased(self.now + LEASE, &Leases { held, surplus });
    }

    /// The outbox answers with its current state; the answer may arrive much later.
    fn start_read(&mut self) {
        let Some(read) = self.shards.start_read(self.now) else { return };
        assert!(self.answer.is_none(), "two reads are in flight");
        assert!(self.now < self.shards.valid_until());
        let decided =
            self.rows.iter().find(|(_, row)| row.state == State::Open).map_or(self.next, |(seq, _)| *seq) - 1;
        // An outbox may know less than the truth.
        let decided = if self.next % 3 == 0 { decided.min(self.next - 7) } else { decided };
        let mut page = Page { stable: decided, server: self.server(), ..Page::default() };
        'read: for wanted in &read.wanted {
            let shard = wanted.lease.shard;
            if !self.ours[usize::from(shard)] || self.epochs[usize::from(shard)] != wanted.lease.epoch {
                page.lost.push(shard);
                continue;
            }
            for (seq, row) in self.rows.range(wanted.above.saturating_add(1)..) {
                let stream = row.stream;
                let topic: Arc<str> = stream.0.to_string().into();
                let is_left_out = shard_of(stream) != shard
                    || row.state != State::Pending
                    || read.except.contains(seq)
                    || read.paused.contains(&topic);
                if is_left_out {
                    continue;
                }
                if page.rows.len() == LIMIT {
                    page.more = true;
                    break 'read;
                }
                let held = self.rows.range(..seq).any(|(_, row)| row.is(stream, State::SetAside));
                let message = Message::new(topic, "{}").with_key(vec![stream.1]);
                let copy = row.number;
                page.rows.push(Pending { shard, seq: *seq, copy, held, unreadable: None, message });
            }
        }
        self.answer = Some((read.wanted.iter().map(|wanted| wanted.lease.shard).collect(), page));
    }

    fn server(&self) -> String {
        format!("server {}", self.failovers)
    }

    fn take_answer(&mut self) {
        let Some((_, page)) = self.answer.take() else { return };
        let is_former = page.server != self.server();
        for part in self.shards.answered(self.now, page) {
            assert!(self.now < self.shards.valid_until(), "published without a lease");
            match is_former {
                // The batch was valid when it was read.
                true => {
                    self.former.insert(part.number);
                }
                false => self.check_part(&part),
            }
            self.began.insert(part.number, self.now);
            self.parts.push(part);
        }
    }

    /// No event is in flight twice, and none passes an earlier event of its stream.
    fn check_part(&self, part: &PublishBatch) {
        let in_flight: BTreeSet<i64> =
            self.parts.iter().flat_map(|part| &part.rows).map(|row| row.event.copy).collect();
        assert!(!self.shards.topics.is_paused(&part.topic), "{} is paused", part.topic);
        let mut with_it = BTreeSet::new();
        for row in &part.rows {
            let (seq, number) = (row.event.seq, row.event.copy);
            assert!(!in_flight.contains(&number), "{seq} is in flight twice");
            let is_again = self.published.contains(&number);
            assert!(!is_again, "{seq} is published again by the relay that confirmed it");
            for (earlier, event) in self.rows.range(..seq) {
                let passed = event.is(stream_of(&row.event), State::Pending)
                    && !self.published.contains(&event.number);
                let put_back = self.epochs[usize::from(row.lease.shard)] != row.lease.epoch;
                assert!(
                    !passed || put_back || row.event.held || with_it.contains(earlier),
                    "{seq} passes {earlier}"
                );
            }
            with_it.insert(seq);
        }
    }

    fn end(&mut self, part: PublishBatch, ok: usize, fate: Fate) {
        let mut ended = Ended { number: part.number, ..Ended::default() };
        let is_former = self.former.remove(&part.number);
        let mut counts: BTreeMap<Stream, usize> = BTreeMap::new();
        let mut stopped = BTreeSet::new();
        for row in &part.rows {
            let (stream, seq) = (stream_of(&row.event), row.event.seq);
            if stopped.contains(&stream) {
                continue;
            }
            let count = counts.entry(stream).or_default();
            *count += 1;
            let at = usize::from(row.lease.shard);
            if !row.event.held && (fate == Fate::Confirmed || *count <= ok) {
                ended.confirmed.push(row.event.entry());
                if !is_former {
                    self.published.insert(row.event.copy);
                }
            } else if row.event.held || fate == Fate::Rejected {
                stopped.insert(stream);
                let is_held = self.rows.range(..seq).any(|(_, row)| row.is(stream, State::SetAside));
                let is_ours = self.ours[at] && self.epochs[at] == row.lease.epoch;
                if !is_ours || !self.stands(&row.event.entry()) || row.event.held && !is_held {
                    ended.again.push(row.lease.shard);
                    continue;
                }
                let behind = self.rows.range_mut(seq..).map(|(_, row)| row);
                for row in behind.filter(|row| row.is(stream, State::Pending)) {
                    row.state = State::SetAside;
                }
            } else {
                stopped.insert(stream);
                ended.outage = Some(Outage { error: "not now".to_owned(), is_full: false });
            }
        }
        self.shards.ended(self.now, ended);
    }

    /// Returns whether exactly this event is pending at its position.
    fn stands(&self, entry: &PendingId) -> bool {
        let row = self.rows.get(&entry.seq);
        row.is_some_and(|row| row.number == entry.copy && row.state == State::Pending)
    }

    fn delete(&mut self, works: bool) {
        let rows = self.shards.confirmed.take();
        if !works {
            return self.shards.confirmed.put_back(rows);
        }
        for entry in &rows {
            if self.stands(entry) {
                self.rows.remove(&entry.seq);
            }
        }
        self.shards.confirmed.deleted(&rows);
    }

    /// From now on everything works.
    fn finish(&mut self) {
        self.step(Step::PutBack);
        for row in self.rows.values_mut() {
            row.state = State::Pending;
        }
        for round in 0..2_000 {
            if self.rows.is_empty() {
                return;
            }
            if round % 40 == 0 || self.shards.take_lost() {
                self.lease(|_| true, 0);
            }
            for step in [Step::Pass(10), Step::Wake, Step::Read, Step::Answer, Step::Delete { works: true }] {
                self.step(step);
            }
            self.step(Step::End { part: 0, ok: 0, fate: Fate::Confirmed });
        }
        panic!("never handed out: {:?}", self.rows);
    }
}

/// Reads once, taking `each` per shard that is read from its beginning; returns those shards.
fn look(shards: &mut Shards, now: &mut Duration, each: Duration) -> Vec<u16> {
    shards.wake();
    let read = shards.start_read(*now).unwrap();
    let full = read.wanted.iter().filter(|wanted| wanted.above == BEGINNING);
    let full: Vec<u16> = full.map(|wanted| wanted.lease.shard).collect();
    *now += Duration::from_millis(2) + each * u32::try_from(full.len()).unwrap();
    shards.answered(*now, Page { stable: 7, ..Page::default() });
    *now += Duration::from_millis(5);
    full
}

#[test]
fn slow_full_passes_are_spread_and_take_an_eighth_of_the_time() {
    const MANY: u16 = 64;
    let backoff = Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2));
    let mut shards = Shards::new(CALLS, UNDELETED, backoff, backoff);
    let held = (0..MANY).map(|shard| ShardLease { shard, epoch: 1 }).collect();
    shards.leased(Duration::from_secs(3_600), &Leases { held, surplus: 0 });
    let (mut now, slow) = (Duration::ZERO, Duration::from_millis(10));
    let all: Vec<u16> = (0..MANY).collect();
    assert_eq!(look(&mut shards, &mut now, Duration::ZERO), all);
    assert!(look(&mut shards, &mut now, Duration::ZERO).is_empty());
    now += FULL_EVERY;
    assert_eq!(look(&mut shards, &mut now, Duration::ZERO), all, "cheap, so all at once");

    // The duration of the first reads does not count.
    let learned = now + Duration::from_secs(20);
    while now < learned {
        look(&mut shards, &mut now, slow);
    }
    let (mut spent, mut seen) = (Duration::ZERO, BTreeMap::<u16, u32>::new());
    let end = now + Duration::from_secs(60);
    while now < end {
        let full = look(&mut shards, &mut now, slow);
        assert!(full.len() <= 10, "{} at once: {} ms", full.len(), full.len() * 10);
        spent += slow * u32::try_from(full.len()).unwrap();
        full.into_iter().for_each(|shard| *seen.entry(shard).or_default() += 1);
    }
    assert!(spent <= Duration::from_secs(60) / 6, "{spent:?} of a minute");
    assert!(all.iter().all(|shard| seen.get(shard).is_some_and(|times| *times >= 5)), "{seen:?}");

    let (mut seen, end) = (0, now + Duration::from_secs(20));
    while now < end {
        seen += look(&mut shards, &mut now, Duration::ZERO).len();
    }
    assert!(seen >= 64 * 40, "cheap again, so often again: {seen}");
}

#[test]
fn reading_stops_while_large_events_are_in_flight() {
    let backoff = Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2));
    let mut shards = Shards::new(4, UNDELETED, backoff, backoff);
    let held = (0..SHARDS).map(|shard| ShardLease { shard, epoch: 1 }).collect();
    shards.leased(Duration::from_secs(3_600), &Leases { held, surplus: 0 });
    let read = |shards: &mut Shards, shard: u16, size: usize| {
        shards.wake();
        shards.start_read(Duration::ZERO).unwrap();
        let message = Message::new("orders.order", vec![b'x'; size]);
        let row = Pending { shard, seq: 1, copy: 0, held: false, unreadable: None, message };
        let parts = shards.answered(Duration::ZERO, Page { rows: vec![row], ..Page::default() });
        Ended { number: parts[0].number, ..Ended::default() }
    };
    let may_read = |shards: &mut Shards| {
        shards.wake();
        shards.may_read(Duration::ZERO)
    };
    let large = read(&mut shards, 0, IN_FLIGHT);
    assert!(may_read(&mut shards), "the next page is read while one is published");
    let small = read(&mut shards, 1, 1_000);
    assert!(!may_read(&mut shards));
    shards.ended(Duration::ZERO, large);
    assert!(may_read(&mut shards), "a third call is allowed");
    shards.ended(Duration::ZERO, small);
    read(&mut shards, 0, IN_FLIGHT / 2);
    read(&mut shards, 1, IN_FLIGHT / 2);
    assert!(!may_read(&mut shards), "all that is in flight counts together");

    // The topic gets no answer and is paused: what it has in flight stops no other topic.
    shards.wake();
    shards.pass(PATIENCE);
    assert!(shards.may_read(PATIENCE));
}

#[test]
fn reading_goes_back_when_the_stable_position_falls() {
    let backoff = Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2));
    let mut shards = Shards::new(CALLS, UNDELETED, backoff, backoff);
    let held = vec![ShardLease { shard: 0, epoch: 1 }];
    shards.leased(Duration::from_secs(3_600), &Leases { held, surplus: 0 });
    let mut read = |decided| {
        shards.wake();
        let above = shards.start_read(Duration::ZERO).unwrap().wanted[0].above;
        shards.answered(Duration::ZERO, Page { stable: decided, ..Page::default() });
        above
    };
    assert_eq!([read(1_000), read(1_001), read(950), read(960)], [BEGINNING, 1_000, 1_001, 950]);
}

#[test]
fn first_page_of_another_server_is_dropped_and_reading_restarts() {
    let backoff = Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2));
    let mut shards = Shards::new(CALLS, UNDELETED, backoff, backoff);
    let held = vec![ShardLease { shard: 0, epoch: 1 }];
    shards.leased(Duration::from_secs(3_600), &Leases { held, surplus: 0 });
    let mut read = |server: &str| {
        shards.wake();
        let above = shards.start_read(Duration::ZERO).unwrap().wanted[0].above;
        let message = Message::new("orders.order", "{}");
        let seq = above.max(0) + 1;
        let row = Pending { shard: 0, seq, copy: 0, held: false, unreadable: None, message };
        let page = Page { rows: vec![row], stable: seq, server: server.to_owned(), ..Page::default() };
        let parts = shards.answered(Duration::ZERO, page);
        for part in &parts {
            shards.ended(Duration::ZERO, Ended { number: part.number, ..Ended::default() });
        }
        (above, parts.len())
    };
    assert_eq!([read("first"), read("first")], [(BEGINNING, 1), (1, 1)]);
    assert_eq!([read("promoted"), read("promoted")], [(2, 0), (BEGINNING, 1)]);
    // Both servers answer for a while.
    assert_eq!([read("first"), read("promoted"), read("promoted")], [(1, 0), (BEGINNING, 0), (BEGINNING, 1)]);
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![4 => Just(Fate::Confirmed), 2 => Just(Fate::Outage), 1 => Just(Fate::Rejected)];
    prop_oneof![
        12 => (0_u8..2, 0_u8..6).prop_map(Step::Begin),
        12 => any::<usize>().prop_map(Step::Commit),
        2 => any::<usize>().prop_map(Step::Rollback),
        12 => Just(Step::Read),
        12 => Just(Step::Answer),
        1 => Just(Step::LoseAnswer),
        12 => (any::<usize>(), 0_usize..3, fate).prop_map(|(part, ok, fate)| Step::End { part, ok, fate }),
        6 => prop::bool::weighted(0.8).prop_map(|works| Step::Delete { works }),
        4 => (prop_oneof![4 => Just(7_u8), 1 => 0_u8..8], prop_oneof![3 => Just(0_usize), 1 => 0_usize..3])
            .prop_map(|(held, surplus)| Step::Lease { held, surplus }),
        1 => (0..SHARDS).prop_map(Step::TakenByAnother),
        1 => Just(Step::PutBack),
        2 => Just(Step::HandOver),
        6 => Just(Step::Wake),
        8 => prop_oneof![4 => 0_u64..60, 1 => 0_u64..3_000].prop_map(Step::Pass),
        1 => (0_i64..8).prop_map(Step::FailOver),
    ]
}

/// A case takes some 20 ms without optimisation.
fn cases() -> u32 {
    if std::env::var_os("MESSAGEKIT_FULL").is_some_and(|full| full == "1") { 5_000 } else { 500 }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]
    #[test]
    fn shards_skip_no_event_and_send_none_twice_or_without_a_lease(
        steps in prop::collection::vec(step(), 0..300)
    ) {
        let mut world = World::new();
        world.step(Step::Lease { held: 7, surplus: 0 });
        steps.into_iter().for_each(|step| world.step(step));
        world.finish();
    }
}
