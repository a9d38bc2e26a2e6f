//! What a bridge has done and what it waits for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::settings::ROOM;
use crate::gate::Holding;

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
    /// Why nothing is confirmed at the moment, and for how long; `None` while the broker answers, and while nothing waits
    /// for it here.
    pub blocked: Option<Blocked>,
    /// What was said by the queue without room for which messages wait, and since when; `None` when none has refused a
    /// message for ten seconds and none waits.
    pub full: Option<Blocked>,
}

/// An outage of the broker, or a queue without room.
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
    standing: Mutex<Standing>,
    holding: Holding,
}

/// How the broker stands.
#[derive(Debug, Default)]
struct Standing {
    /// Since when every answer is an outage, and the last one.
    failing: Option<(Instant, String)>,
    /// When the broker answered last, or was first asked after being idle.
    heard: Option<Instant>,
    full: Option<Full>,
}

/// Queues without room.
#[derive(Debug)]
struct Full {
    since: Instant,
    /// When a message was refused last, and what was said.
    last: Instant,
    error: String,
    /// How many messages wait for room.
    waiting: usize,
}

/// So long may answers stay away before that is an outage.
const SILENCE: Duration = Duration::from_secs(5);

impl Stats {
    pub(super) fn new(holding: Holding) -> Self {
        Self(Arc::new(Counters { holding, ..Counters::default() }))
    }

    /// Returns the gate that holds the bridge back, and for how long it has; `None` while everything is let through. A gate in
    /// front of a bridge that has nothing to publish holds nothing back.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.0.holding.read()
    }

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
            full: self.full(),
        }
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.0.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn blocked(&self) -> Option<Blocked> {
        if self.0.lanes.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let standing = self.standing();
        if let Some((since, error)) = &standing.failing {
            return Some(Blocked { error: error.clone(), since: since.elapsed() });
        }
        let silent = standing.heard.filter(|_| self.0.unconfirmed.load(Ordering::Relaxed) > 0)?.elapsed();
        (silent >= SILENCE).then(|| Blocked { error: "broker confirms nothing".to_owned(), since: silent })
    }

    fn full(&self) -> Option<Blocked> {
        if self.0.lanes.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let standing = self.standing();
        standing.full.as_ref().map(|full| Blocked { error: full.error.clone(), since: full.since.elapsed() })
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
        self.standing().heard = Some(Instant::now());
    }

    /// Notes an answer of the broker; returns for how long there was an outage, when it ends with this.
    pub(super) fn answered(&self) -> Option<Duration> {
        let mut standing = self.standing();
        standing.heard = Some(Instant::now());
        standing.failing.take().map(|(since, _)| since.elapsed())
    }

    /// Notes that the broker did not take a message; returns whether that is news.
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

    /// Notes that a queue had no room for a message; returns whether that is news.
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

    /// Notes how many messages wait because of an outage, and for room. An outage that keeps nothing is none: what it
    /// kept went to another process.
    pub(super) fn waits(&self, outage: usize, full: usize) {
        let mut standing = self.standing();
        if outage == 0 {
            standing.failing = None;
        }
        standing.full.iter_mut().for_each(|known| known.waiting = full);
    }

    /// Returns for how long a queue was full, when all have had room for a while: one that fills up as fast as it is
    /// emptied is full all the time.
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
