//! A gate that a test controls.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use messagekit::gate::{Abandon, BatchView, Gate, Outcome, Permit};

use super::lock;

/// Implements a gate under a test's control that records its calls. A clone is a handle to the same gate.
///
/// ```
/// use messagekit_memory::TestGate;
///
/// let gate = TestGate::new();
/// gate.close();
/// // Consumer::builder("billing", store).gate(gate.clone()) …: nothing is handled now.
/// assert_eq!(gate.admissions(), 0);
/// gate.open();
/// ```
#[derive(Clone, Default)]
pub struct TestGate(Arc<Shared>);

#[derive(Default)]
struct Shared(Mutex<State>);

#[derive(Default)]
struct State {
    closed: bool,
    limit: Option<u32>,
    asked: u64,
    views: Vec<BatchView>,
    outcomes: Vec<Outcome>,
    abandoned: u64,
    waiting: Vec<Waker>,
}

impl TestGate {
    /// Creates an open gate without a limit.
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens the gate.
    pub fn open(&self) {
        self.set(|state| state.closed = false);
    }

    /// Closes the gate.
    pub fn close(&self) {
        self.set(|state| state.closed = true);
    }

    /// Grants at most this many messages per admission; 0 counts as 1.
    pub fn limit(&self, messages: u32) {
        self.set(|state| state.limit = Some(messages.max(1)));
    }

    /// Returns the number of admission requests, granted or not.
    pub fn asked(&self) -> u64 {
        self.look(|state| state.asked)
    }

    /// Returns the number of granted permits.
    pub fn admissions(&self) -> usize {
        self.look(|state| state.views.len())
    }

    /// Returns the admitted batches in order, with the requested rather than the granted number of messages.
    pub fn admitted(&self) -> Vec<BatchView> {
        self.look(|state| state.views.clone())
    }

    /// Returns the outcomes of settled permits in order.
    pub fn outcomes(&self) -> Vec<Outcome> {
        self.look(|state| state.outcomes.clone())
    }

    /// Returns the number of permits dropped without being settled.
    pub fn abandoned(&self) -> u64 {
        self.look(|state| state.abandoned)
    }

    fn look<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&lock(&self.0.0))
    }

    fn set(&self, change: impl FnOnce(&mut State)) {
        let waiting = {
            let mut state = lock(&self.0.0);
            change(&mut state);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Abandon for Shared {
    fn abandon(&self, _stamp: u64, _unused: u32) {
        lock(&self.0).abandoned += 1;
    }
}

impl Gate for TestGate {
    fn name(&self) -> &'static str {
        "test"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        let mut state = lock(&self.0.0);
        state.asked += 1;
        if state.closed {
            state.waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        state.views.push(*batch);
        let granted = state.limit.map_or(batch.messages, |limit| limit.min(batch.messages));
        let stamp = state.views.len() as u64;
        Poll::Ready(Permit::new(stamp, granted, Some(self.0.clone())))
    }

    fn settle(&mut self, permit: Permit, outcome: &Outcome) {
        let _ = permit.redeem();
        lock(&self.0.0).outcomes.push(outcome.clone());
    }
}

impl fmt::Debug for TestGate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|state| {
            f.debug_struct("TestGate")
                .field("closed", &state.closed)
                .field("admissions", &state.views.len())
                .field("outcomes", &state.outcomes.len())
                .field("abandoned", &state.abandoned)
                .finish_non_exhaustive()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use messagekit::adapter::Lane;

    #[test]
    fn it_counts_admissions_outcomes_and_what_was_dropped() {
        let gate = TestGate::new();
        let mut handle = gate.clone();
        let mut cx = Context::from_waker(Waker::noop());
        let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 9, bytes: 90 };
        gate.close();
        assert!(handle.poll_admit(&view, &mut cx).is_pending());
        gate.open();
        gate.limit(4);
        let Poll::Ready(permit) = handle.poll_admit(&view, &mut cx) else { panic!("an open gate admits") };
        assert_eq!(permit.granted(), 4);
        let outcome = Outcome { used: 3, handled: true, failed: Vec::new() };
        handle.settle(permit, &outcome);
        drop(handle.poll_admit(&view, &mut cx));
        assert_eq!((gate.asked(), gate.admissions(), gate.abandoned()), (3, 2, 1));
        assert_eq!((gate.outcomes(), gate.admitted()), (vec![outcome], vec![view, view]));
    }
}
