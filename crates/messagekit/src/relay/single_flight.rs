//! One statement in flight at a time, and the wait after a failure.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::settings::outage;
use crate::store::BoxFuture;
use crate::{Error, ErrorKind};

/// Timeout of a statement: a silently dead connection must not stop a relay.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// One kind of statement. Times count from the start of the relay.
pub(super) struct SingleFlight<T> {
    in_flight: Option<BoxFuture<'static, T>>,
    not_before: Duration,
    outages: u32,
}

impl<T> SingleFlight<T> {
    pub(super) fn new() -> Self {
        Self { in_flight: None, not_before: Duration::ZERO, outages: 0 }
    }

    pub(super) fn may_start(&self, now: Duration) -> bool {
        self.in_flight.is_none() && self.not_before <= now
    }

    pub(super) fn start(&mut self, single_flight: impl Future<Output = T> + Send + 'static) {
        self.in_flight = Some(Box::pin(single_flight));
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        let Some(single_flight) = &mut self.in_flight else { return Poll::Pending };
        let answer = Pin::as_mut(single_flight).poll(cx);
        if answer.is_ready() {
            self.in_flight = None;
        }
        answer
    }

    /// Records a failure and waits before the next statement, at most `longest`.
    pub(super) fn failed(&mut self, now: Duration, longest: Duration) {
        self.outages += 1;
        self.not_before = now + outage().delay(self.outages).min(longest);
    }

    pub(super) fn succeeded(&mut self) {
        self.outages = 0;
    }

    pub(super) fn is_troubled(&self) -> bool {
        self.outages > 0
    }

    /// Returns the earliest start of the next statement.
    pub(super) fn not_before(&self) -> Duration {
        self.not_before
    }
}

/// Waits for a statement, at most for `patience`.
pub(super) async fn in_time<T>(
    what: &'static str,
    patience: Duration,
    statement: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(patience, statement).await.unwrap_or_else(|_| {
        let text = format!("{what}: the database does not answer");
        Err(Error::new(ErrorKind::Unavailable, text).with("seconds", patience.as_secs()))
    })
}
