//! Several gates, all or nothing.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};

use super::inside::Inside;
use super::{BatchView, Gate, GateStates, Outcome, Permit};

/// Gates in polling order, for a loop that runs behind them.
///
/// Poll them with [`poll_admit`](Self::poll_admit) before each batch, report its result with [`settle`](Self::settle), and call
/// [`rest`](Self::rest) at the end of every polling round.
#[derive(Default)]
pub struct Gates {
    gates: Vec<Box<dyn Gate>>,
    states: GateStates,
    /// A poll happened in this round.
    polled: bool,
}

/// A permit of every gate. It belongs to the run that it admitted, for as long as that lasts: the messages whose handlers have
/// started are used, also when it is dropped.
#[derive(Debug, Default)]
pub struct Pass {
    permits: Vec<Permit>,
    started: Arc<AtomicU32>,
}

impl Pass {
    /// Counts messages whose handlers start now.
    pub fn started(&self, messages: u32) {
        self.started.fetch_add(messages, Ordering::Relaxed);
    }

    /// Returns what a run needs that starts handlers elsewhere.
    pub(crate) fn starts(&self) -> Starts {
        Starts { started: Arc::clone(&self.started), inside: Inside::of(&self.permits) }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let started = self.started.load(Ordering::Relaxed);
        self.permits.iter_mut().for_each(|permit| permit.use_up(started));
    }
}

/// The number of messages whose handlers have started in one run, and the gates that have admitted it. Clones share the number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Starts {
    started: Arc<AtomicU32>,
    inside: Inside,
}

impl Starts {
    pub(crate) fn add(&self, messages: u32) {
        self.started.fetch_add(messages, Ordering::Relaxed);
    }

    pub(crate) fn count(&self) -> u32 {
        self.started.load(Ordering::Relaxed)
    }

    /// Runs a function of the user inside the gates that have admitted the run.
    pub(crate) async fn inside<F: Future>(&self, work: F) -> F::Output {
        self.inside.clone().run(work).await
    }
}

impl Gates {
    /// Adds a gate behind the others.
    pub fn push(&mut self, gate: impl Gate + 'static) {
        self.states.add(gate.name(), gate.closed_since());
        self.gates.push(Box::new(gate));
    }

    /// Returns whether there is no gate: everything is admitted.
    pub fn is_empty(&self) -> bool {
        self.gates.is_empty()
    }

    /// Returns a live view of the states of the gates.
    pub fn states(&self) -> GateStates {
        self.states.clone()
    }

    /// Polls every gate and returns the permits and the smallest grant in messages, at least 1. If a gate waits, the task is
    /// woken when it may admit.
    ///
    /// If a later gate waits, the earlier permits are given back. A kept permit could be older than the state of the later gate
    /// when it admits, and lanes could not take turns.
    pub fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<(Pass, u32)> {
        self.polled = true;
        let mut batch = *batch;
        let mut pass = Pass::default();
        for (index, gate) in self.gates.iter_mut().enumerate() {
            let Poll::Ready(permit) = gate.poll_admit(&batch, cx) else {
                self.states.holds_back(index);
                return Poll::Pending;
            };
            self.states.lets_through(index, gate.is_trying());
            batch.messages = batch.messages.min(permit.granted()).max(1);
            pass.permits.push(permit);
        }
        Poll::Ready((pass, batch.messages))
    }

    /// Ends a polling round. If no lane polled in it, no gate counts as closed any more: the waiting batch went away with its
    /// lane.
    pub fn rest(&mut self) {
        if !std::mem::take(&mut self.polled) {
            self.forget_batch();
        }
    }

    /// Lets no gate count as closed for a batch that does not wait any more.
    pub(crate) fn forget_batch(&mut self) {
        for (index, gate) in self.gates.iter().enumerate() {
            self.states.forgets_its_batch(index, gate.is_trying());
        }
    }

    /// Reports the result of the batch to every gate.
    pub fn settle(&mut self, mut pass: Pass, outcome: &Outcome) {
        for (gate, permit) in self.gates.iter_mut().zip(std::mem::take(&mut pass.permits)) {
            gate.settle(permit, outcome);
        }
    }
}

/// A loop that has ended, or was dropped, is held back by no gate.
impl Drop for Gates {
    fn drop(&mut self) {
        self.states.end();
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.gates.iter().map(|gate| gate.name())).finish()
    }
}
