//! The states of a loop's gates, for statistics.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ClosedSince;

/// A live view of the gates of one loop. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct GateStates(Arc<Mutex<Vec<Known>>>);

/// The state of one gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateState {
    /// The gate's name.
    pub gate: &'static str,
    /// How long it has been closed, for a batch of the loop that waits or for everyone; `None` while it is open.
    pub closed: Option<Duration>,
    /// Whether it tries with single batches whether it may open.
    pub is_trying: bool,
    /// How long it was closed in total, without the present closure.
    pub waited: Duration,
}

struct Known {
    gate: &'static str,
    for_everyone: Option<ClosedSince>,
    closed_at: Option<Instant>,
    is_trying: bool,
    waited: Duration,
}

impl GateStates {
    /// Returns the states in polling order.
    pub fn read(&self) -> Vec<GateState> {
        let state = |known: &Known| GateState {
            gate: known.gate,
            closed: known.closed().map(|at| at.elapsed()),
            is_trying: known.is_trying,
            waited: known.waited,
        };
        self.known().iter().map(state).collect()
    }

    /// Returns the first closed gate, and for how long it has been closed. Gates behind it are not polled.
    pub fn held_back_by(&self) -> Option<(&'static str, Duration)> {
        self.known().iter().find_map(|known| Some((known.gate, known.closed()?.elapsed())))
    }

    /// Marks every gate as open: the loop has ended.
    pub(super) fn end(&self) {
        for known in self.known().iter_mut() {
            known.open();
            known.is_trying = false;
            known.for_everyone = None;
        }
    }

    pub(super) fn add(&self, gate: &'static str, for_everyone: Option<ClosedSince>) {
        let (closed_at, is_trying, waited) = (None, false, Duration::ZERO);
        self.known().push(Known { gate, for_everyone, closed_at, is_trying, waited });
    }

    pub(super) fn holds_back(&self, index: usize) {
        self.known()[index].closed_at.get_or_insert_with(Instant::now);
    }

    pub(super) fn lets_through(&self, index: usize, is_trying: bool) {
        let known = &mut self.known()[index];
        known.open();
        known.is_trying = is_trying;
    }

    /// Opens a closed gate whose waiting batch has left.
    pub(super) fn forgets_its_batch(&self, index: usize, is_trying: bool) {
        let known = &mut self.known()[index];
        if known.closed_at.is_some() {
            known.open();
            known.is_trying = is_trying;
        }
    }

    fn known(&self) -> MutexGuard<'_, Vec<Known>> {
        // Every update is complete, so a poisoned lock is safe to use.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Known")
            .field("gate", &self.gate)
            .field("closed", &self.closed())
            .finish_non_exhaustive()
    }
}

impl Known {
    /// Returns since when it has been closed.
    fn closed(&self) -> Option<Instant> {
        let for_everyone = self.for_everyone.as_ref().and_then(|since| since());
        self.closed_at.into_iter().chain(for_everyone).min()
    }

    fn open(&mut self) {
        self.waited += self.closed_at.take().map_or(Duration::ZERO, |at| at.elapsed());
    }
}
