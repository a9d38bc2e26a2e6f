//! Events that are not due yet.

use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use super::settings::{DUE_EVERY, Settings};
use super::single_flight::{PATIENCE, SingleFlight, in_time};
use crate::Error;

/// Minimum time between two queries: other relays may be working on the due events.
const APART: Duration = Duration::from_millis(5);

/// Releases delayed events when they are due. Times count from the start of the relay.
pub(super) struct Delayed {
    single_flight: SingleFlight<Result<Option<Duration>, Error>>,
    look_at: Duration,
    /// The next known due time.
    known: Option<Duration>,
}

impl Delayed {
    pub(super) fn new() -> Self {
        Self { single_flight: SingleFlight::new(), look_at: Duration::ZERO, known: None }
    }

    pub(super) fn start(&mut self, now: Duration, settings: &Arc<Settings>) -> bool {
        if self.look_at > now || !self.single_flight.may_start(now) {
            return false;
        }
        let settings = Arc::clone(settings);
        self.single_flight
            .start(async move { in_time("look at what is delayed", PATIENCE, settings.reader.due()).await });
        true
    }

    /// Returns whether delayed events may have become ready. Their positions are before those of events published since.
    pub(super) fn poll(&mut self, now: Duration, cx: &mut Context<'_>) -> Poll<Result<bool, Error>> {
        let next = match ready!(self.single_flight.poll(cx)) {
            Ok(next) => next,
            Err(error) => {
                self.single_flight.failed(now, Duration::MAX);
                return Poll::Ready(Err(error));
            }
        };
        self.single_flight.succeeded();
        let was_due = self.known.is_some_and(|due| due <= now);
        self.known = next.map(|wait| now + wait);
        self.look_at = now + next.unwrap_or(DUE_EVERY).clamp(APART, DUE_EVERY);
        Poll::Ready(Ok(was_due))
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.single_flight.is_in_flight()
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.single_flight.is_troubled()
    }

    /// Returns the time of the next query.
    pub(super) fn next(&self) -> Duration {
        self.look_at.max(self.single_flight.not_before())
    }
}
