//! Statistics of a consumer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus::core::Metric;
use prometheus::{Histogram, HistogramOpts, proto};
use tokio::time::Instant;

use crate::Error;
use crate::gate::Holding;
use crate::metrics::{SECONDS, names};

/// Counts of one consumer since it was built. They are statistics for people and dashboards; the tables contain the state of
/// each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerStats {
    /// Messages whose handler's effects were committed, retries included.
    pub handled: u64,
    /// Messages that had been applied, set aside or discarded before.
    pub duplicates: u64,
    /// Messages of a type without a handler.
    pub ignored: u64,
    /// Messages set aside for a retry.
    pub set_aside: u64,
    /// Messages that became dead.
    pub dead: u64,
    /// Messages parked behind an earlier one of their key.
    pub parked: u64,
    /// Committed transactions.
    pub batches: u64,
    /// Transactions rolled back because of a handler, a conflict or an outage.
    pub rolled_back: u64,
}

impl ConsumerStats {
    /// Adds the counts of another transaction.
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

/// The state of a consumer's connection to its source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// Number of assigned partitions or queues.
    pub lanes: u64,
    /// Number of those that wait for one message: it cannot be applied, its dependency is unavailable, or there is no room to
    /// park it.
    pub blocked: u64,
    /// The source's names of the waiting lanes; the names of the key lanes if a partition is divided.
    pub blocked_lanes: Vec<Arc<str>>,
    /// The last error of an outage of the source, unless a message has arrived since or the source has reported nothing for 30
    /// s.
    pub trouble: Option<String>,
    /// How the run ended; `None` before and during the run.
    pub ended: Option<String>,
}

/// How long an unrepeated outage counts: clients of brokers report it with each connection attempt.
const LASTS: Duration = Duration::from_secs(30);

/// A live view of a consumer's statistics. Cloning is cheap.
#[derive(Clone, Debug)]
pub struct Stats(Arc<Counters>);

#[derive(Debug)]
struct Counters {
    done: Mutex<ConsumerStats>,
    /// Without its trouble, which expires.
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

    /// Returns the gate that is closed for the consumer, and for how long; `None` while all gates are open. The consumer polls
    /// its gates when messages wait, and twice a second for failed messages that may be due.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.holding.read()
    }

    /// Returns the current counts.
    pub fn read(&self) -> ConsumerStats {
        *locked(&self.0.done)
    }

    /// Returns the state of the connection to the source.
    pub fn connection(&self) -> Connection {
        let trouble = locked(&self.0.trouble).clone().filter(|(told, _)| told.elapsed() < LASTS);
        Connection { trouble: trouble.map(|(_, error)| error), ..locked(&self.0.connection).clone() }
    }

    /// Describes messages older than the dedup window that may be delivered again and would be set aside. Empty if there are
    /// none, and without a window. The consumer checks at its start and once an hour.
    pub fn outside_window(&self) -> Vec<String> {
        locked(&self.0.short_of).clone()
    }

    /// Records the descriptions of messages older than the window that may be delivered again.
    pub(super) fn short_of(&self, found: Vec<String>) {
        *locked(&self.0.short_of) = found;
    }

    /// Records the number of assigned lanes and of blocked lanes, with their names.
    pub(super) fn assigned(&self, lanes: usize, blocked: usize, blocked_lanes: Vec<Arc<str>>) {
        let mut connection = locked(&self.0.connection);
        (connection.lanes, connection.blocked) = (lanes as u64, blocked as u64);
        connection.blocked_lanes = blocked_lanes;
    }

    /// Records an outage of the source, or its end with `None`.
    pub(super) fn trouble(&self, error: Option<&Error>) {
        let trouble = error.map(|error| (Instant::now(), error.to_string()));
        *locked(&self.0.trouble) = trouble;
    }

    /// Records how the run ended. The consumer then has no lanes, and no gate is closed for it.
    fn end(&self, how: String) {
        self.0.holding.set(None);
        *locked(&self.0.connection) = Connection { ended: Some(how), ..Connection::default() };
    }

    /// Records the time of one run of a handler.
    pub(super) fn took(&self, time: Duration) {
        self.0.handle_seconds.observe(time.as_secs_f64());
    }

    /// Returns the histogram of handler times.
    pub(crate) fn handle_seconds(&self) -> proto::Histogram {
        self.0.handle_seconds.metric().get_histogram().clone()
    }

    /// Adds the counts of a transaction.
    pub(super) fn add(&self, done: &ConsumerStats) {
        locked(&self.0.done).add(done);
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Records the end of a run, including a dropped one.
pub(super) struct Ending(Option<Stats>);

impl Ending {
    pub(super) fn of(stats: &Stats) -> Self {
        Self(Some(stats.clone()))
    }

    pub(super) fn with(mut self, outcome: &Result<(), Error>) {
        if let Some(stats) = self.0.take() {
            // Without its causes, which are texts of databases and brokers: the statistics are widely readable.
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
