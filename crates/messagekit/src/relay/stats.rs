//! Statistics of a relay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::gate::{GateState, GateStates};
use crate::histogram::{Durations, Histogram, HistogramCounts};
use crate::transport::Outage;

/// Counts of one relay since it was built, and its current state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RelayStats {
    /// Events that the broker confirmed.
    pub published: u64,
    /// Events that the broker refused for good.
    pub rejected: u64,
    /// Events that were set aside: rejected ones and the events behind them.
    pub set_aside: u64,
    /// Publications that were not confirmed and are repeated.
    pub repeated: u64,
    /// Events in flight.
    pub unconfirmed: u64,
    /// Confirmed events whose rows are not deleted yet.
    pub undeleted: u64,
    /// Reads of the outbox.
    pub reads: u64,
    /// Statements that deleted confirmed events.
    pub deletes: u64,
    /// Shards of the outbox that the relay owns, of [`SHARDS`](super::SHARDS).
    pub shards: u64,
    /// The remaining time of the lease; `None` if the relay may not publish.
    pub lease: Option<Duration>,
    /// The error and duration of a database outage, if there is one.
    pub database: Option<Outage>,
    /// Topics that the broker does not accept at the moment, by name.
    pub paused: Vec<PausedTopic>,
    /// Whether its run has ended, by a shutdown or an error.
    pub ended: bool,
}

/// An outage of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PausedTopic {
    /// The topic, as in the outbox.
    pub topic: Arc<str>,
    /// The last error, or a text that no answer comes.
    pub error: String,
    /// The duration of the outage.
    pub since: Duration,
}

/// A live view of a relay's statistics. Cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    gates: GateStates,
    pub(super) published: AtomicU64,
    pub(super) rejected: AtomicU64,
    pub(super) set_aside: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) unconfirmed: AtomicU64,
    pub(super) undeleted: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) deletes: AtomicU64,
    pub(super) shards: AtomicU64,
    pub(super) publish_times: Histogram<Durations>,
    standing: Mutex<Standing>,
}

/// State that is not a counter.
#[derive(Debug, Default)]
pub(super) struct Standing {
    pub(super) valid_until: Option<Instant>,
    pub(super) database: Option<(Instant, String)>,
    pub(super) paused: Vec<(Arc<str>, Instant, String)>,
    pub(super) ended: bool,
}

impl Stats {
    pub(super) fn new(gates: GateStates) -> Self {
        Self(Arc::new(Counters { gates, ..Counters::default() }))
    }

    /// Returns the gate that is closed for the relay, whether or not events wait, and for how long; `None` while all gates are open.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.gates.held_back_by()
    }

    /// Returns the states of the gates, in polling order.
    pub fn gates(&self) -> Vec<GateState> {
        self.0.gates.read()
    }

    /// Returns the current statistics.
    pub fn read(&self) -> RelayStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &*self.0;
        let standing = counters.standing();
        let paused = |(topic, since, error): &(Arc<str>, Instant, String)| PausedTopic {
            topic: topic.clone(),
            error: error.clone(),
            since: since.elapsed(),
        };
        RelayStats {
            published: get(&counters.published),
            rejected: get(&counters.rejected),
            set_aside: get(&counters.set_aside),
            repeated: get(&counters.repeated),
            unconfirmed: get(&counters.unconfirmed),
            undeleted: get(&counters.undeleted),
            reads: get(&counters.reads),
            deletes: get(&counters.deletes),
            shards: get(&counters.shards),
            lease: standing
                .valid_until
                .map(|until| until.saturating_duration_since(Instant::now()))
                .filter(|left| !left.is_zero()),
            database: standing
                .database
                .as_ref()
                .map(|(since, error)| Outage { error: error.clone(), since: since.elapsed() }),
            paused: standing.paused.iter().map(paused).collect(),
            ended: standing.ended,
        }
    }

    /// Returns the durations of publishes, from the sending of a batch to its last answer.
    pub fn publish_times(&self) -> HistogramCounts {
        self.0.publish_times.read()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn standing(&self) -> MutexGuard<'_, Standing> {
        // Every update is complete, so a poisoned lock is safe to use.
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
