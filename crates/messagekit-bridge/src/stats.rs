//! Statistics and state of a bridge.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use messagekit::adapter::Outage;
use messagekit::gate::{GateState, GateStates};
use tokio::time::Instant;

/// Reports counts of one bridge since it was built, and its current state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeStats {
    /// Messages that the broker confirmed.
    pub forwarded: u64,
    /// Messages that the broker rejected: no queue is bound, or they were too large.
    pub returned: u64,
    /// Messages whose copy in the dead-letter topic was confirmed.
    pub dead_lettered: u64,
    /// Messages that the duplicate filter recognised.
    pub duplicates: u64,
    /// Publishes that were not confirmed and are repeated.
    pub repeated: u64,
    /// Messages in flight.
    pub unconfirmed: u64,
    /// Messages that wait for an earlier message or for a repeated publish.
    pub waiting: u64,
    /// Assigned partitions.
    pub lanes: u64,
    /// The outage, while the broker confirms nothing; `None` while the broker responds, and while no message waits for
    /// it.
    pub blocked: Option<Outage>,
    /// The last error of a full queue, while messages wait for it. `None` if no message waits and no queue was full for
    /// ten seconds.
    pub full: Option<Outage>,
}

/// Provides a live view of a bridge; cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    gates: GateStates,
    state: Mutex<BridgeState>,
}

/// The counts, and what is known of the broker.
#[derive(Debug, Default)]
struct BridgeState {
    counts: BridgeStats,
    /// Start and last error of an outage.
    failing: Option<(Instant, String)>,
    /// Time of the last response, or of the first publish after being idle.
    heard: Option<Instant>,
    full: Option<FullQueues>,
}

/// Queues without room.
#[derive(Debug)]
struct FullQueues {
    since: Instant,
    /// Time of the last refused message.
    last: Instant,
    error: String,
    /// Number of messages that wait for queue capacity.
    waiting: usize,
}

/// Time without a response after which an outage is assumed.
const SILENCE: Duration = Duration::from_secs(5);

/// Time without a full queue after which all queues count as available.
pub(super) const ROOM: Duration = Duration::from_secs(10);

impl Stats {
    pub(super) fn new(gates: GateStates) -> Self {
        Self(Arc::new(Inner { gates, ..Inner::default() }))
    }

    /// Returns the gate that holds the bridge back, and for how long; `None` while messages pass. A gate does not hold
    /// back a bridge that has nothing to publish.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.gates.held_back_by()
    }

    /// Returns the state of each gate, in polling order.
    pub fn gates(&self) -> Vec<GateState> {
        self.0.gates.read()
    }

    /// Returns the current counts.
    pub fn read(&self) -> BridgeStats {
        let state = self.state();
        BridgeStats { blocked: state.blocked(), full: state.full(), ..state.counts.clone() }
    }

    /// Changes the counts, and returns what the change returns.
    pub(super) fn count<R>(&self, change: impl FnOnce(&mut BridgeStats) -> R) -> R {
        change(&mut self.state().counts)
    }

    fn state(&self) -> MutexGuard<'_, BridgeState> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns whether the broker accepts or confirms nothing.
    pub(super) fn is_blocked(&self) -> bool {
        self.state().blocked().is_some()
    }

    /// Records that a message is in flight. The broker is expected to respond from the first one on.
    pub(super) fn in_flight(&self) {
        let mut state = self.state();
        if state.counts.unconfirmed == 0 {
            state.heard = Some(Instant::now());
        }
        state.counts.unconfirmed += 1;
    }

    /// Records the broker's response to a message in flight. Returns the duration of the outage if this response ends one.
    pub(super) fn answered(&self) -> Option<Duration> {
        let mut state = self.state();
        state.counts.unconfirmed -= 1;
        state.heard = Some(Instant::now());
        state.failing.take().map(|(since, _)| since.elapsed())
    }

    /// Records that the broker did not accept a message. Returns whether this begins an outage.
    pub(super) fn failed(&self, error: String) -> bool {
        match &mut self.state().failing {
            Some((_, last)) => {
                *last = error;
                false
            }
            none => {
                *none = Some((Instant::now(), error));
                true
            }
        }
    }

    /// Records that a queue was full. Returns whether this is the first such report.
    pub(super) fn refused(&self, error: String) -> bool {
        let now = Instant::now();
        match &mut self.state().full {
            Some(full) => {
                (full.last, full.error) = (now, error);
                false
            }
            none => {
                *none = Some(FullQueues { since: now, last: now, error, waiting: 1 });
                true
            }
        }
    }

    /// Records how many messages wait because of an outage, and for queue capacity. An outage without a waiting message
    /// ends: its messages went to another process.
    pub(super) fn waits(&self, outage: usize, full: usize) {
        let mut state = self.state();
        if outage == 0 {
            state.failing = None;
        }
        state.full.iter_mut().for_each(|known| known.waiting = full);
    }

    /// Returns for how long a queue was full, once no queue was full for a while. A queue that fills as fast as it
    /// empties counts as full throughout.
    pub(super) fn room(&self) -> Option<Duration> {
        let full = &mut self.state().full;
        full.take_if(|full| full.waiting == 0 && full.last.elapsed() >= ROOM).map(|full| full.since.elapsed())
    }
}

impl BridgeState {
    fn blocked(&self) -> Option<Outage> {
        if self.counts.lanes == 0 {
            return None;
        }
        if let Some((since, error)) = &self.failing {
            return Some(Outage { error: error.clone(), since: since.elapsed() });
        }
        let silent = self.heard.filter(|_| self.counts.unconfirmed > 0)?.elapsed();
        (silent >= SILENCE).then(|| Outage { error: "broker confirms nothing".to_owned(), since: silent })
    }

    fn full(&self) -> Option<Outage> {
        let full = self.full.as_ref().filter(|_| self.counts.lanes > 0)?;
        Some(Outage { error: full.error.clone(), since: full.since.elapsed() })
    }
}
