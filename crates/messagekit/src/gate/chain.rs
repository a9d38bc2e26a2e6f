//! Several gates, all or nothing.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use prometheus::{Counter, IntGauge};
use tokio::time::Instant;

use super::{BatchView, Gate, Outcome, Permit};
use crate::metrics::Metrics;

/// Gates in polling order.
#[derive(Default)]
pub(crate) struct Gates {
    gates: Vec<Asked>,
    holding: Holding,
    /// A poll happened in this round.
    asked: bool,
}

/// A gate, and the time since which it is closed.
struct Asked {
    gate: Box<dyn Gate>,
    since: Option<Instant>,
    figures: Option<(IntGauge, Counter)>,
}

/// The gate that is closed now, for statistics. Clones share the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Holding(Arc<Mutex<Option<(&'static str, Instant)>>>);

/// A permit of every gate.
#[derive(Debug, Default)]
pub(crate) struct Pass(Vec<Permit>);

impl Gates {
    pub(crate) fn push(&mut self, gate: impl Gate + 'static) {
        self.gates.push(Asked { gate: Box::new(gate), since: None, figures: None });
    }

    /// Reports states and waits under the given name. Gates of one name share their metrics.
    pub(crate) fn count_into(&mut self, metrics: &Metrics, name: &str) {
        for asked in &mut self.gates {
            let gate = asked.gate.name();
            asked.figures = Some((metrics.gate_state(name, gate), metrics.gate_wait(name, gate)));
        }
    }

    pub(crate) fn holding(&self) -> Holding {
        self.holding.clone()
    }

    /// Polls every gate and returns the smallest grant.
    ///
    /// If a later gate waits, the earlier permits are given back. A kept permit could be older than the state of the later gate
    /// when it admits, and lanes could not take turns.
    pub(crate) fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<(Pass, u32)> {
        self.asked = true;
        let mut batch = *batch;
        let mut pass = Pass::default();
        for asked in &mut self.gates {
            let Poll::Ready(permit) = asked.gate.poll_admit(&batch, cx) else {
                self.holding.set(Some((asked.gate.name(), asked.holds_back())));
                return Poll::Pending;
            };
            asked.lets_through();
            batch.messages = batch.messages.min(permit.granted()).max(1);
            pass.0.push(permit);
        }
        self.holding.set(None);
        Poll::Ready((pass, batch.messages))
    }

    /// Ends a polling round. If no lane polled in it, no gate counts as closed any more: the waiting batch went away with its
    /// lane.
    pub(crate) fn rest(&mut self) {
        if !std::mem::take(&mut self.asked) {
            self.gates.iter_mut().filter(|asked| asked.since.is_some()).for_each(Asked::lets_through);
            self.holding.set(None);
        }
    }

    pub(crate) fn settle(&mut self, pass: Pass, outcome: &Outcome) {
        for (asked, permit) in self.gates.iter_mut().zip(pass.0) {
            asked.gate.settle(permit, outcome);
        }
    }
}

impl Asked {
    /// Marks the gate as closed and returns the time since when.
    fn holds_back(&mut self) -> Instant {
        if let Some((state, _)) = &self.figures {
            state.set(2);
        }
        *self.since.get_or_insert_with(Instant::now)
    }

    fn lets_through(&mut self) {
        let since = self.since.take();
        if let Some((state, wait)) = &self.figures {
            state.set(i64::from(self.gate.is_trying()));
            wait.inc_by(since.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        }
    }
}

impl Holding {
    pub(crate) fn set(&self, gate: Option<(&'static str, Instant)>) {
        let mut holding = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Keep the time of the first wait.
        match (&*holding, gate) {
            (Some((before, _)), Some((now, _))) if *before == now => {}
            _ => *holding = gate,
        }
    }

    /// Returns the gate's name, and how long it has been closed.
    pub(crate) fn read(&self) -> Option<(&'static str, Duration)> {
        let holding = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        holding.map(|(gate, since)| (gate, since.elapsed()))
    }
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.gates.iter().map(|asked| asked.gate.name())).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::memory::TestGate;
    use crate::transport::Lane;

    #[tokio::test(start_paused = true)]
    async fn a_lane_that_moved_away_is_no_longer_held_back_by_its_gate() {
        let mut cx = Context::from_waker(Waker::noop());
        let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 1, bytes: 1 };
        let (gate, mut gates) = (TestGate::new(), Gates::default());
        gates.push(gate.clone());
        gate.close();
        for seconds in 0..10 {
            assert!(gates.poll_admit(&view, &mut cx).is_pending());
            gates.rest();
            assert_eq!(gates.holding().read(), Some(("test", Duration::from_secs(seconds))));
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        // The lane moved to another process.
        gates.rest();
        assert_eq!(gates.holding().read(), None);
        assert!(gates.poll_admit(&view, &mut cx).is_pending());
        assert_eq!(gates.holding().read(), Some(("test", Duration::ZERO)), "it begins again");
    }
}
