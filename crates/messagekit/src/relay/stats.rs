//! Statistics of a relay.

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
pub struct Stats(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    gates: GateStates,
    publish_times: Histogram<Durations>,
    state: Mutex<RelayState>,
}

/// The counts, and the times from which a view is made.
#[derive(Debug, Default)]
pub(super) struct RelayState {
    pub(super) counts: RelayStats,
    pub(super) valid_until: Option<Instant>,
    pub(super) database: Option<(Instant, String)>,
    pub(super) paused: Vec<(Arc<str>, Instant, String)>,
}

impl Stats {
    pub(super) fn new(gates: GateStates) -> Self {
        Self(Arc::new(Inner { gates, ..Inner::default() }))
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
        let state = self.state();
        let paused = |(topic, since, error): &(Arc<str>, Instant, String)| PausedTopic {
            topic: topic.clone(),
            error: error.clone(),
            since: since.elapsed(),
        };
        let lease = state.valid_until.map(|until| until.saturating_duration_since(Instant::now()));
        let database = state.database.as_ref();
        RelayStats {
            lease: lease.filter(|left| !left.is_zero()),
            database: database.map(|(since, error)| Outage { error: error.clone(), since: since.elapsed() }),
            paused: state.paused.iter().map(paused).collect(),
            ..state.counts.clone()
        }
    }

    /// Returns the durations of publishes, from the sending of a batch to its last answer.
    pub fn publish_times(&self) -> HistogramCounts {
        self.0.publish_times.read()
    }

    /// Records the duration of a publish.
    pub(super) fn took(&self, time: Duration) {
        self.0.publish_times.add(time);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, RelayState> {
        // Every update is complete, so a poisoned lock is safe to use.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
