//! When failed messages are looked for, and how many messages a look may apply.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::consumer::adaptive_batch::AdaptiveBatch;
use crate::consumer::retry::Retried;
use crate::consumer::retry_timer::RetryTimer;
use crate::gate::Pass;

/// Running failed messages again.
pub(super) struct Retries {
    pub(super) timer: RetryTimer,
    pub(super) working: Option<Pass>,
    /// A lane was admitted since the last failed message: failed messages are asked first, else a backlog behind a narrow gate
    /// would keep them waiting for ever.
    pub(super) first: bool,
    /// A failed message was applied since the last look that found none: there may be a key whose messages wait.
    draining: bool,
    /// How many retries in a row have said that a dependency is unavailable.
    pub(super) unavailable: u32,
    /// How many messages of a key fit into one transaction.
    fits: AdaptiveBatch,
}

impl Retries {
    pub(super) fn new() -> Self {
        Self {
            timer: RetryTimer::new(),
            working: None,
            first: false,
            draining: false,
            unavailable: 0,
            fits: AdaptiveBatch::default(),
        }
    }

    /// Returns how many messages the next look may apply. One where most likely nothing is due: gates keep that many from the
    /// lanes meanwhile.
    pub(super) fn most(&self, batch: NonZeroU32) -> u32 {
        let fits = u32::try_from(self.fits.most()).unwrap_or(u32::MAX);
        if self.draining { batch.get().min(fits) } else { 1 }
    }

    /// Learns from a look that has ended; transactions have so much time.
    pub(super) fn learn(&mut self, retried: &Retried, limit: Duration) {
        match retried.applied {
            Some(_) => self.unavailable = 0,
            None => self.unavailable += u32::from(retried.is_unavailable),
        }
        self.draining = retried.applied.is_some() || self.draining && retried.found;
        if let Some(applied) = retried.applied {
            self.fits.learn(&(0..applied.length as usize), applied.messages as usize, applied.took, limit);
        }
    }
}
