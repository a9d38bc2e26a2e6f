//! What the gates of a relay have admitted.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::gate::{BatchView, Gates, NO_LANE, Outcome, Pass};

/// How long a relay waits after a read that took all of what a gate granted below a page: a gate that admits an event at a time shall
/// not cost a statement for each.
const PACE: Duration = Duration::from_millis(10);

/// The gates, and what they have granted for the read in flight.
///
/// The pass ends with the read and not with the answer of the broker: a topic that is silent must not hold the others back, and what
/// was granted and not read is free for others.
pub(super) struct Admission {
    gates: Gates,
    reading: Option<Granted>,
    not_before: Duration,
}

struct Granted {
    pass: Pass,
    events: u32,
    /// It is less than the read would have requested.
    is_short: bool,
}

impl Admission {
    pub(super) fn new(gates: Gates) -> Self {
        Self { gates, reading: None, not_before: Duration::ZERO }
    }

    /// Returns how many of `events` the next read may request, or `None` while a gate waits; then the task is woken.
    pub(super) fn admit(&mut self, now: Duration, events: u32, cx: &mut Context<'_>) -> Option<u32> {
        if self.gates.is_empty() {
            return Some(events);
        }
        if now < self.not_before {
            return None;
        }
        let batch = BatchView { lane: NO_LANE, messages: events, bytes: 0 };
        let Poll::Ready((pass, granted)) = self.gates.poll_admit(&batch, cx) else { return None };
        self.reading = Some(Granted { pass, events: granted, is_short: granted < events });
        Some(granted)
    }

    /// Gives back what was granted: the read got no answer.
    pub(super) fn unanswered(&mut self) {
        self.reading = None;
    }

    /// Reports the events of a page.
    pub(super) fn read(&mut self, now: Duration, events: usize) {
        let Some(granted) = self.reading.take() else { return };
        let used = u32::try_from(events).unwrap_or(u32::MAX);
        if granted.is_short && used >= granted.events {
            self.not_before = now + PACE;
        }
        granted.pass.started(used);
        self.gates.settle(granted.pass, &Outcome { used, ..Outcome::default() });
    }

    /// Ends a polling round.
    pub(super) fn rest(&mut self) {
        self.gates.rest();
    }

    /// Returns when a read may ask the gates again.
    pub(super) fn next(&self) -> Duration {
        self.not_before
    }
}
