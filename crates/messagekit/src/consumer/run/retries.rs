//! The time of polls for failed messages, and the number of messages that a poll may apply.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::consumer::adaptive_batch::AdaptiveBatch;
use crate::consumer::retry::{RetryOutcome, RetryTimer};

/// The retries of failed messages.
pub(super) struct Retries {
    pub(super) timer: RetryTimer,
    pub(super) working: bool,
    /// A lane was admitted since the last failed message. Failed messages then go first, otherwise a backlog behind a narrow
    /// gate would delay them indefinitely.
    pub(super) first: bool,
    /// A failed message was applied since the last empty poll: more messages of its key may wait.
    draining: bool,
    /// The last poll found no failed message that is due, and none was stored since.
    has_looked: bool,
    /// Number of consecutive retries that reported an unavailable dependency.
    pub(super) unavailable: u32,
    /// The number of messages of a key that fit into one transaction.
    fits: AdaptiveBatch,
}

impl Retries {
    pub(super) fn new() -> Self {
        Self {
            timer: RetryTimer::new(),
            working: false,
            first: false,
            draining: false,
            has_looked: false,
            unavailable: 0,
            fits: AdaptiveBatch::default(),
        }
    }

    /// Returns how many messages the next poll may apply: one if most likely none is due, because gates withhold that many from
    /// the lanes meanwhile.
    pub(super) fn most(&self, batch: NonZeroU32) -> u32 {
        let fits = u32::try_from(self.fits.most()).unwrap_or(u32::MAX);
        if self.draining { batch.get().min(fits) } else { 1 }
    }

    /// Returns whether no failed message was due at the last poll, and none was stored since.
    pub(super) fn has_looked(&self) -> bool {
        self.has_looked
    }

    /// Records that failed messages may have been stored.
    pub(super) fn has_more(&mut self) {
        self.has_looked = false;
    }

    /// Ends a poll.
    pub(super) fn look_ended(&mut self, found: bool) {
        self.has_looked = !found;
        self.timer.look_ended(found);
    }

    /// Makes the next poll due, unless it is or waits for the end of an outage. Returns whether that made a difference.
    pub(super) fn look_now(&mut self) -> bool {
        self.timer.look_now()
    }

    /// Learns from a finished poll; `limit` is the time limit of a transaction.
    pub(super) fn learn(&mut self, retried: &RetryOutcome, limit: Duration) {
        match retried.applied {
            Some(_) => self.unavailable = 0,
            None => self.unavailable += u32::from(retried.is_unavailable),
        }
        self.draining = retried.applied.is_some() || self.draining && retried.was_due;
        if let Some(applied) = retried.applied {
            self.fits.learn(&(0..applied.length as usize), applied.messages as usize, applied.took, limit);
        }
    }
}
