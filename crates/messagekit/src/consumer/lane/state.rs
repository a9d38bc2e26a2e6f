//! The state of a lane: its value moves into each batch run and comes back whole.

use std::time::Duration;

use tokio::time::Instant;

use super::crash_guard::CrashGuard;
use super::pause::{Pause, RunEnd};
use crate::consumer::adaptive_batch::AdaptiveBatch;
use crate::consumer::settings::Rules;
use crate::consumer::{Backoff, OnFailure};
use crate::store::Next;

/// The state that a lane keeps between batch runs.
#[derive(Clone, Copy, Debug)]
pub(in crate::consumer) struct LaneState {
    pub(in crate::consumer) guard: CrashGuard,
    /// The number of messages that fit into the time of a transaction.
    pub(in crate::consumer) fits: AdaptiveBatch,
    /// Maximum size of the next batch: halved by lock conflicts, doubled by success.
    limit: u32,
    /// Consecutive outages.
    outages: u32,
    /// Since this time the first message's handler reports an unavailable dependency.
    pub(in crate::consumer) unavailable: Option<Instant>,
    /// Failed runs of the first message, which is retried in place.
    pub(in crate::consumer) failed_runs: u32,
    /// Consecutive times without room to park the first message.
    pub(in crate::consumer) full: u32,
}

impl LaneState {
    pub(in crate::consumer) fn new(lane: &str, limit: u32) -> Self {
        let (guard, fits) = (CrashGuard::new(lane, limit), AdaptiveBatch::default());
        Self { guard, fits, limit, outages: 0, unavailable: None, failed_runs: 0, full: 0 }
    }

    /// Returns the maximum size of the next batch.
    pub(in crate::consumer) fn limit(&self) -> u32 {
        // Without room to park the first message, handlers of later messages would run in vain.
        let limit = if self.full > 0 { 1 } else { self.limit };
        limit.min(u32::try_from(self.fits.most()).unwrap_or(u32::MAX))
    }

    /// Returns whether the lane waits for one message.
    pub(in crate::consumer) fn is_blocked(&self, policy: OnFailure) -> bool {
        self.full > 0 || self.unavailable.is_some() || self.failed_runs > 0 && policy == OnFailure::Block
    }

    /// Resets the state of the first message, because the first message is another one now.
    pub(in crate::consumer) fn finished_something(&mut self) {
        (self.unavailable, self.failed_runs, self.full) = (None, 0, 0);
        self.guard.stop_watching();
    }

    /// Records why a batch run has ended, and returns how long the lane waits.
    pub(in crate::consumer) fn end_run(&mut self, rules: &Rules, end: &RunEnd) -> Option<Duration> {
        if !matches!(end, RunEnd::Pause(Pause::Watch { .. })) {
            self.guard.stop_watching();
        }
        match end {
            RunEnd::Continue => {
                self.limit = self.limit.saturating_mul(2).min(rules.batch.messages.get());
                (self.outages, self.full) = (0, 0);
                None
            }
            RunEnd::Pause(pause) => self.pause(rules, pause),
            RunEnd::Fenced | RunEnd::Fatal(_) => None,
        }
    }

    fn after_outage(&mut self) -> Duration {
        self.outages += 1;
        Backoff::OUTAGE.delay(self.outages)
    }

    fn pause(&mut self, rules: &Rules, pause: &Pause) -> Option<Duration> {
        Some(match pause {
            Pause::CrashFound => return None,
            Pause::Outage(_) => {
                // No handler runs during an outage, so its time does not count towards the limit of an unavailable message.
                self.unavailable = None;
                self.after_outage()
            }
            Pause::Unavailable(_) => self.after_outage(),
            Pause::Conflict(_) => {
                self.limit = (self.limit / 2).max(1);
                Backoff::after_conflict()
            }
            Pause::Watch { wait, .. } => *wait,
            Pause::Blocked(failure) => {
                self.failed_runs = failure.attempts;
                match failure.next {
                    Next::Retry(wait) => wait,
                    Next::Dead => rules.backoff.delay(self.failed_runs),
                }
            }
            // A message behind others runs no handler, and has room as soon as its key is drained.
            Pause::Full { failure: None, .. } => {
                self.full += 1;
                Backoff::ROOM.delay(self.full)
            }
            Pause::Full { failure: Some(failure), .. } => {
                self.full += 1;
                self.failed_runs = failure.attempts;
                rules.backoff.delay(self.full)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_is_blocked_until_it_finishes_something() {
        let mut lane = LaneState::new("orders/0", 10);
        assert!(!lane.is_blocked(OnFailure::Block));
        lane.unavailable = Some(Instant::now());
        assert!(lane.is_blocked(OnFailure::ParkKey));
        lane = LaneState { unavailable: None, failed_runs: 1, ..lane };
        assert!(lane.is_blocked(OnFailure::Block) && !lane.is_blocked(OnFailure::DeadLetter));
        lane.full = 1;
        assert!(lane.is_blocked(OnFailure::DeadLetter));
        lane.finished_something();
        assert!(!lane.is_blocked(OnFailure::Block));
    }
}
