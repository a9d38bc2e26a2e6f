//! Statistics and state of a bridge.

use std::sync::atomic::{AtomicU64, Ordering};
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
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) forwarded: AtomicU64,
    pub(super) returned: AtomicU64,
    pub(super) dead_lettered: AtomicU64,
    pub(super) duplicates: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) unconfirmed: AtomicU64,
    pub(super) waiting: AtomicU64,
    pub(super) lanes: AtomicU64,
    standing: Mutex<Standing>,
    gates: GateStates,
}

/// State of the broker.
#[derive(Debug, Default)]
struct Standing {
    /// Start and last error of an outage.
    failing: Option<(Instant, String)>,
    /// Time of the last response, or of the first publish after being idle.
    heard: Option<Instant>,
    full: Option<Full>,
}

/// Full queues.
#[derive(Debug)]
struct Full {
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
        Self(Arc::new(Counters { gates, ..Counters::default() }))
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
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &*self.0;
        BridgeStats {
            forwarded: get(&counters.forwarded),
            returned: get(&counters.returned),
            dead_lettered: get(&counters.dead_lettered),
            duplicates: get(&counters.duplicates),
            repeated: get(&counters.repeated),
            unconfirmed: get(&counters.unconfirmed),
            waiting: get(&counters.waiting),
            lanes: get(&counters.lanes),
            blocked: self.blocked(),
            full: self.full(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocked(&self) -> Option<Outage> {
        if self.0.lanes.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let standing = self.standing();
        if let Some((since, error)) = &standing.failing {
            return Some(Outage { error: error.clone(), since: since.elapsed() });
        }
        let silent = standing.heard.filter(|_| self.0.unconfirmed.load(Ordering::Relaxed) > 0)?.elapsed();
        (silent >= SILENCE).then(|| Outage { error: "broker confirms nothing".to_owned(), since: silent })
    }

    fn full(&self) -> Option<Outage> {
        if self.0.lanes.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let standing = self.standing();
        standing.full.as_ref().map(|full| Outage { error: full.error.clone(), since: full.since.elapsed() })
    }

    /// Returns whether the broker accepts or confirms nothing.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked().is_some()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }

    /// Records that the first message is in flight.
    pub(super) fn first_in_flight(&self) {
        self.standing().heard = Some(Instant::now());
    }

    /// Records a response of the broker. Returns the duration of the outage if this response ends one.
    pub(super) fn answered(&self) -> Option<Duration> {
        let mut standing = self.standing();
        standing.heard = Some(Instant::now());
        standing.failing.take().map(|(since, _)| since.elapsed())
    }

    /// Records that the broker did not accept a message. Returns whether this begins an outage.
    pub(super) fn failed(&self, error: String) -> bool {
        match &mut self.standing().failing {
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
        match &mut self.standing().full {
            Some(full) => {
                (full.last, full.error) = (now, error);
                false
            }
            none => {
                *none = Some(Full { since: now, last: now, error, waiting: 1 });
                true
            }
        }
    }

    /// Records how many messages wait because of an outage, and for queue capacity. An outage without a waiting message
    /// ends: its messages went to another process.
    pub(super) fn waits(&self, outage: usize, full: usize) {
        let mut standing = self.standing();
        if outage == 0 {
            standing.failing = None;
        }
        standing.full.iter_mut().for_each(|known| known.waiting = full);
    }

    /// Returns for how long a queue was full, once no queue was full for a while. A queue that fills as fast as it
    /// empties counts as full throughout.
    pub(super) fn room(&self) -> Option<Duration> {
        let full = &mut self.standing().full;
        full.take_if(|full| full.waiting == 0 && full.last.elapsed() >= ROOM).map(|full| full.since.elapsed())
    }
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
