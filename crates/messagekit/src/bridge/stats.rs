//! What a bridge has done and what it waits for.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Counts of one bridge since it was built, and how it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BridgeStats {
    /// Messages that the broker confirmed.
    pub forwarded: u64,
    /// Messages that the broker refused: no queue wanted them, or they were too large.
    pub returned: u64,
    /// Messages whose dead letter was confirmed.
    pub dead_lettered: u64,
    /// Messages that the duplicate filter knew.
    pub duplicates: u64,
    /// Publishes that were not confirmed and are repeated.
    pub repeated: u64,
    /// Messages that are published and not confirmed yet.
    pub unconfirmed: u64,
    /// Messages that wait for their turn or to be published again.
    pub waiting: u64,
    /// Partitions that are assigned.
    pub lanes: u64,
    /// Why nothing is confirmed at the moment, and for how long; `None` while the broker answers.
    pub blocked: Option<Blocked>,
}

/// An outage of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// What was said last, or that no answer comes.
    pub error: String,
    /// For how long.
    pub since: Duration,
}

/// A live view of a bridge; cloning is cheap.
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
    failing: AtomicBool,
    outage: Mutex<Outage>,
}

#[derive(Debug, Default)]
struct Outage {
    /// Since when every answer is an outage, and the last one.
    failing: Option<(Instant, String)>,
    /// When the broker answered last, or was first asked after being idle.
    heard: Option<Instant>,
}

/// So long may answers stay away before that is an outage.
const SILENCE: Duration = Duration::from_secs(5);

impl Stats {
    /// Returns the counts as they are now.
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
        }
    }

    fn blocked(&self) -> Option<Blocked> {
        let outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, error)) = &outage.failing {
            return Some(Blocked { error: error.clone(), since: since.elapsed() });
        }
        let silent = outage.heard.filter(|_| self.0.unconfirmed.load(Ordering::Relaxed) > 0)?.elapsed();
        (silent >= SILENCE).then(|| Blocked { error: "broker confirms nothing".to_owned(), since: silent })
    }

    /// Returns whether the broker takes or confirms nothing.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked().is_some()
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.0
    }

    /// Notes that something is unconfirmed while nothing was before.
    pub(super) fn asked(&self) {
        self.0.outage.lock().unwrap_or_else(PoisonError::into_inner).heard = Some(Instant::now());
    }

    /// Notes an answer of the broker; returns for how long there was an outage, when it ends with this.
    pub(super) fn answered(&self) -> Option<Duration> {
        let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        outage.heard = Some(Instant::now());
        if !self.0.failing.swap(false, Ordering::Relaxed) {
            return None;
        }
        outage.failing.take().map(|(since, _)| since.elapsed())
    }

    /// Notes that the broker did not take a message; returns whether that is news.
    pub(super) fn failed(&self, error: String) -> bool {
        let mut outage = self.0.outage.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.failing.store(true, Ordering::Relaxed);
        match &mut outage.failing {
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
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
