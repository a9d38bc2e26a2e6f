//! Several gates, all or nothing.

use std::fmt;
use std::task::{Context, Poll};

use super::{BatchView, Gate, Outcome, Ticket};

/// Gates in the order in which they are asked.
#[derive(Default)]
pub(crate) struct Gates(Vec<Box<dyn Gate>>);

/// A ticket of every gate.
#[derive(Debug, Default)]
pub(crate) struct Pass(Vec<Ticket>);

impl Gates {
    pub(crate) fn push(&mut self, gate: impl Gate + 'static) {
        self.0.push(Box::new(gate));
    }

    /// Asks every gate; the answer is the smallest grant.
    ///
    /// A later gate that waits gives the earlier tickets back: holding them would admit with a ticket older than the later
    /// gate's state, and lanes could not take turns.
    pub(crate) fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<(Pass, u32)> {
        let mut batch = *batch;
        let mut pass = Pass::default();
        for gate in &mut self.0 {
            let Poll::Ready(ticket) = gate.poll_admit(&batch, cx) else { return Poll::Pending };
            batch.messages = batch.messages.min(ticket.granted()).max(1);
            pass.0.push(ticket);
        }
        Poll::Ready((pass, batch.messages))
    }

    pub(crate) fn settle(&mut self, pass: Pass, outcome: &Outcome) {
        for (gate, ticket) in self.0.iter_mut().zip(pass.0) {
            gate.settle(ticket, outcome);
        }
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|gate| gate.name())).finish()
    }
}
