//! Timers of the bridge.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use messagekit::adapter::Lane;
use tokio::time::{Instant, Sleep};

/// An action that is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Publish a message again.
    Again(Lane, u64),
    /// Query the duplicate filter again.
    Check,
    /// Write markers again.
    Mark,
    /// Check whether all queues have capacity.
    Room,
    /// Release a revoked lane despite messages in flight.
    GiveUp(Lane),
}

/// Waits for many deadlines with one timer.
#[derive(Default)]
pub(super) struct Timers {
    due: BTreeMap<(Instant, u64), Due>,
    count: u64,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Timers {
    pub(super) fn after(&mut self, wait: Duration, due: Due) {
        self.count += 1;
        self.due.insert((Instant::now() + wait, self.count), due);
    }

    /// Returns due actions, one at a time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Due> {
        loop {
            let Some((&(first, _), _)) = self.due.first_key_value() else {
                self.timer = None;
                return Poll::Pending;
            };
            if first <= Instant::now()
                && let Some((_, due)) = self.due.pop_first()
            {
                return Poll::Ready(due);
            }
            let timer = match &mut self.timer {
                Some((at, timer)) if *at == first => timer,
                timer => &mut timer.insert((first, Box::pin(tokio::time::sleep_until(first)))).1,
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }
}
