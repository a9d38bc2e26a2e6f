//! Database time that follows tokio's clock.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Gives the time of day; it stops while tokio's clock is paused.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    started: Instant,
    at: Timestamp,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { started: Instant::now(), at: Timestamp::now() }
    }

    pub(super) fn now(&self) -> Timestamp {
        later(self.at, self.started.elapsed())
    }

    pub(super) fn after(&self, delay: Duration) -> Timestamp {
        later(self.now(), delay)
    }
}

/// Adds without overflow: an unlimited lease ends at the maximum time.
pub(super) fn later(at: Timestamp, delay: Duration) -> Timestamp {
    SignedDuration::try_from(delay)
        .ok()
        .and_then(|delay| at.checked_add(delay).ok())
        .unwrap_or(Timestamp::MAX)
}
