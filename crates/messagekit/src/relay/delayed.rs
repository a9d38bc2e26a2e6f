//! Events that are not due yet.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::errand::{Errand, PATIENCE, in_time};
use super::settings::{DUE_EVERY, Settings};
use crate::Error;

/// Asked at least so long apart: others may be at work on what is due.
const APART: Duration = Duration::from_millis(5);

/// Makes delayed events ready in time. Times count from the start of the relay.
pub(super) struct Delayed {
    errand: Errand<Result<Option<Duration>, Error>>,
    look_at: Duration,
    /// When the next one is due, as far as is known.
    known: Option<Duration>,
}

impl Delayed {
    pub(super) fn new() -> Self {
        Self { errand: Errand::new(), look_at: Duration::ZERO, known: None }
    }

    pub(super) fn start(&mut self, now: Duration, settings: &Arc<Settings>) -> bool {
        if self.look_at > now || !self.errand.may_start(now) {
            return false;
        }
        let settings = Arc::clone(settings);
        self.errand
            .start(async move { in_time("look at what is delayed", PATIENCE, settings.reader.due()).await });
        true
    }

    /// Answers whether something may have become ready, which stands before what was published since.
    pub(super) fn poll(&mut self, now: Duration, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let next = match ready!(self.errand.poll(cx)) {
            Ok(next) => next,
            Err(error) => {
                self.errand.failed(now, Duration::MAX);
                return Poll::Ready(Err(error));
            }
        };
        self.errand.succeeded();
        let was_due = self.known.is_some_and(|due| due <= now);
        self.known = next.map(|wait| now + wait);
        self.look_at = now + next.unwrap_or(DUE_EVERY).clamp(APART, DUE_EVERY);
        Poll::Ready(Ok(was_due))
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.errand.is_in_flight()
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.errand.is_troubled()
    }

    /// Returns when to look again.
    pub(super) fn next(&self) -> Duration {
        self.look_at.max(self.errand.not_before())
    }
}
