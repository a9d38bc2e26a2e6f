//! What a consumer has done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
struct Counters {
    done: Mutex<ConsumerStats>,
    /// Without its trouble, which passes with time.
    connection: Mutex<Connection>,
    trouble: Mutex<Option<(Instant, String)>>,
    short_of: Mutex<Vec<String>>,
    handle_seconds: Histogram,
    holding: Holding,
}

impl Default for Stats {
    fn default() -> Self {
        Self::new(Holding::default())
    }
}

impl Stats {
    pub(super) fn new(holding: Holding) -> Self {
        let options = HistogramOpts::new(names::CONSUMER_HANDLE_SECONDS, "Time inside handlers");
        let buckets = options.buckets(SECONDS.to_vec());
        Self(Arc::new(Counters {
            done: Mutex::default(),
            connection: Mutex::default(),
            trouble: Mutex::default(),
            short_of: Mutex::default(),
            handle_seconds: Histogram::with_opts(buckets).expect("name and bounds are legal"),
            holding,
        }))
    }

    /// Returns the gate that holds the consumer back, and for how long it has; `None` while everything is let through. It is
    /// asked when there is something to handle, and twice a second for failed messages that may be due.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.holding.read()
    }

    /// Returns the counts as they are now.
    pub fn read(&self) -> ConsumerStats {
        *locked(&self.0.done)
    }

    /// Returns how the consumer stands with its source.
    pub fn connection(&self) -> Connection {
        let trouble = locked(&self.0.trouble).clone().filter(|(told, _)| told.elapsed() < LASTS);
        Connection { trouble: trouble.map(|(_, error)| error), ..locked(&self.0.connection).clone() }
    }

    /// Says in words what may come back that is older than the consumer's window, and would be set aside; empty while nothing
    /// may, and without a window. Looked for when the consumer starts and once an hour.
    pub fn outside_window(&self) -> Vec<String> {
        locked(&self.0.short_of).clone()
    }

    /// Notes what may come back that is older than the window.
    pub(super) fn short_of(&self, found: Vec<String>) {
        *locked(&self.0.short_of) = found;
    }

    /// Notes how many lanes are assigned, and how many of them are blocked, with their names.
    pub(super) fn assigned(&self, lanes: usize, blocked: usize, blocked_lanes: Vec<Arc<str>>) {
        let mut connection = locked(&self.0.connection);
        (connection.lanes, connection.blocked) = (lanes as u64, blocked as u64);
        connection.blocked_lanes = blocked_lanes;
    }

    /// Notes an outage of the source, or with `None` that it is over.
    pub(super) fn trouble(&self, error: Option<&Error>) {
        let trouble = error.map(|error| (Instant::now(), error.to_string()));
        *locked(&self.0.trouble) = trouble;
    }

    /// Notes how the run came to its end. It has no lanes any more, and nothing is held back.
    fn end(&self, how: String) {
        self.0.holding.set(None);
        *locked(&self.0.connection) = Connection { ended: Some(how), ..Connection::default() };
    }

    /// Counts the time of one run of a handler.
    pub(super) fn took(&self, time: Duration) {
        self.0.handle_seconds.observe(time.as_secs_f64());
    }

    /// Returns the times of the handler's runs.
    pub(crate) fn handle_seconds(&self) -> proto::Histogram {
        self.0.handle_seconds.metric().get_histogram().clone()
    }

    /// Adds what a transaction did.
    pub(super) fn add(&self, done: &ConsumerStats) {
        locked(&self.0.done).add(done);
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
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
