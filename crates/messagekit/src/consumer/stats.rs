//! What a consumer has done.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Metric;
use prometheus::{Histogram, HistogramOpts, proto};
use tokio::time::Instant;

use crate::Error;
use crate::gate::Holding;
use crate::metrics::{SECONDS, names};

/// Counts of one consumer since it was built. Counters are for people and dashboards: what happened to a message is in the
/// tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Messages whose handler's effects were committed, retries included.
    pub handled: u64,
    /// Messages that had been applied, set aside or discarded before.
    pub duplicates: u64,
    /// Messages of a type without a handler.
    pub ignored: u64,
    /// Messages set aside to be tried again.
    pub set_aside: u64,
    /// Messages that became dead.
    pub dead: u64,
    /// Messages kept behind an earlier one of their key.
    pub parked: u64,
    /// Transactions committed.
    pub batches: u64,
    /// Transactions given up because of a handler, a conflict or an outage.
    pub rolled_back: u64,
}

impl ConsumerStats {
    /// Adds what another transaction did.
    pub(super) fn add(&mut self, done: &Self) {
        self.handled += done.handled;
        self.duplicates += done.duplicates;
        self.ignored += done.ignored;
        self.set_aside += done.set_aside;
        self.dead += done.dead;
        self.parked += done.parked;
        self.batches += done.batches;
        self.rolled_back += done.rolled_back;
    }
}

/// How a consumer stands with its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Partitions or queues that are assigned to it.
    pub lanes: u64,
    /// How many of them wait for one message: it cannot be applied, its dependency is unavailable, or there is no room to park
    /// it.
    pub blocked: u64,
    /// The names that the source gives to the lanes that wait so; of a partition that is divided, its key lanes.
    pub blocked_lanes: Vec<Arc<str>>,
    /// What the source said last of an outage, unless something has arrived since or 30 s have passed without a word.
    pub trouble: Option<String>,
    /// How the run came to its end; `None` before and while it runs.
    pub ended: Option<String>,
}

/// So long an outage lasts that is not told again: clients of brokers do so with each attempt to connect.
const LASTS: Duration = Duration::from_secs(30);

/// A live view of a consumer's counts; cloning is cheap.
#[derive(Clone, Debug)]
pub struct Stats(Arc<Counters>);

#[derive(Debug)]
pub(super) struct Counters {
    pub(super) handled: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) ignored: AtomicU64,
    pub(super) set_aside: AtomicU64,
    pub(super) dead: AtomicU64,
    pub(super) parked: AtomicU64,
    pub(super) batches: AtomicU64,
    pub(super) rolled_back: AtomicU64,
    lanes: AtomicU64,
    blocked: AtomicU64,
    blocked_lanes: Mutex<Vec<Arc<str>>>,
    trouble: Mutex<Option<(Instant, String)>>,
    ended: Mutex<Option<String>>,
    short_of: Mutex<Vec<String>>,
    handle_seconds: Histogram,
    holding: Holding,
}

impl Counters {
    fn new(holding: Holding) -> Self {
        let options = HistogramOpts::new(names::CONSUMER_HANDLE_SECONDS, "Time inside handlers");
        Self {
            handled: AtomicU64::default(),
            duplicates: AtomicU64::default(),
            ignored: AtomicU64::default(),
            set_aside: AtomicU64::default(),
            dead: AtomicU64::default(),
            parked: AtomicU64::default(),
            batches: AtomicU64::default(),
            rolled_back: AtomicU64::default(),
            lanes: AtomicU64::default(),
            blocked: AtomicU64::default(),
            blocked_lanes: Mutex::default(),
            trouble: Mutex::default(),
            ended: Mutex::default(),
            short_of: Mutex::default(),
            handle_seconds: Histogram::with_opts(options.buckets(SECONDS.to_vec()))
                .expect("name and bounds are legal"),
            holding,
        }
    }
}

impl Default for Stats {
    fn default() -> Self {
        Self::new(Holding::default())
    }
}

impl Stats {
    pub(super) fn new(holding: Holding) -> Self {
        Self(Arc::new(Counters::new(holding)))
    }

    /// Returns the gate that holds the consumer back, and for how long it has; `None` while everything is let through. It is
    /// asked when there is something to handle, and twice a second for failed messages that may be due.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.holding.read()
    }

    /// Returns the counts as they are now.
    pub fn read(&self) -> ConsumerStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ConsumerStats {
            handled: get(&self.0.handled),
            duplicates: get(&self.0.duplicates),
            ignored: get(&self.0.ignored),
            set_aside: get(&self.0.set_aside),
            dead: get(&self.0.dead),
            parked: get(&self.0.parked),
            batches: get(&self.0.batches),
            rolled_back: get(&self.0.rolled_back),
        }
    }

    /// Returns how the consumer stands with its source.
    pub fn connection(&self) -> Connection {
        let trouble = self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let trouble = trouble.filter(|(told, _)| told.elapsed() < LASTS).map(|(_, error)| error);
        let get = |gauge: &AtomicU64| gauge.load(Ordering::Relaxed);
        let ended = self.0.ended.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let blocked_lanes = self.0.blocked_lanes.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Connection { lanes: get(&self.0.lanes), blocked: get(&self.0.blocked), blocked_lanes, trouble, ended }
    }

    /// Says in words what may come back that is older than the consumer's window, and would be set aside; empty while nothing
    /// may, and without a window. Looked for when the consumer starts and once an hour.
    pub fn outside_window(&self) -> Vec<String> {
        self.0.short_of.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what may come back that is older than the window.
    pub(super) fn short_of(&self, found: Vec<String>) {
        *self.0.short_of.lock().unwrap_or_else(PoisonError::into_inner) = found;
    }

    /// Notes the names of the blocked lanes.
    pub(super) fn blocked_lanes(&self, names: Vec<Arc<str>>) {
        *self.0.blocked_lanes.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// Notes how many lanes are assigned, and how many of them are blocked.
    pub(super) fn assigned(&self, lanes: usize, blocked: usize) {
        self.0.lanes.store(lanes as u64, Ordering::Relaxed);
        self.0.blocked.store(blocked as u64, Ordering::Relaxed);
    }

    /// Notes an outage of the source, or with `None` that it is over.
    pub(super) fn trouble(&self, error: Option<&Error>) {
        let trouble = error.map(|error| (Instant::now(), error.to_string()));
        *self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }

    /// Notes how the run came to its end. It has no lanes any more, and nothing is held back.
    fn end(&self, how: String) {
        self.assigned(0, 0);
        self.blocked_lanes(Vec::new());
        self.0.holding.set(None);
        *self.0.ended.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
    }

    /// Counts the time of one run of a handler.
    pub(super) fn took(&self, time: Duration) {
        self.0.handle_seconds.observe(time.as_secs_f64());
    }

    /// Returns the times of the handler's runs.
    pub(crate) fn handle_seconds(&self) -> proto::Histogram {
        self.0.handle_seconds.metric().get_histogram().clone()
    }

    /// Adds what a committed transaction did.
    pub(super) fn add(&self, done: &ConsumerStats) {
        let add = |counter: &AtomicU64, n: u64| {
            if n > 0 {
                counter.fetch_add(n, Ordering::Relaxed);
            }
        };
        add(&self.0.handled, done.handled);
        add(&self.0.duplicates, done.duplicates);
        add(&self.0.ignored, done.ignored);
        add(&self.0.set_aside, done.set_aside);
        add(&self.0.dead, done.dead);
        add(&self.0.parked, done.parked);
        add(&self.0.batches, done.batches);
        add(&self.0.rolled_back, done.rolled_back);
    }
}

/// Notes the end of a run, also of one that is dropped.
pub(super) struct Ending(Option<Stats>);

impl Ending {
    pub(super) fn of(stats: &Stats) -> Self {
        Self(Some(stats.clone()))
    }

    pub(super) fn with(mut self, outcome: &Result<(), Error>) {
        if let Some(stats) = self.0.take() {
            // Without its causes: those are texts of databases and brokers, and everybody reads this.
            stats.end(outcome.as_ref().err().map_or_else(|| "stopped".to_owned(), Error::to_string));
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(stats) = self.0.take() {
            stats.end("dropped, or a panic".to_owned());
        }
    }
}
