//! Calls of a dependency through a circuit breaker, inside a handler or anywhere else.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::CircuitBreaker;
use super::breaker::{Admission, Verdict};
use super::circuit_breaker::Shared;
use super::inside::Inside;
use crate::handler::{HandlerError, HandlerErrorKind};
use crate::store::FailureKind;

impl CircuitBreaker {
    /// Makes a call unless the breaker is open, and returns what it returns. While the breaker is open `call` is never polled, and the
    /// error is [`HandlerError::unavailable`] with the cause [`CallRefused`]: a handler that returns it lets its lane wait, and costs the
    /// message no attempt. After the open time one call is made, and its result decides; others are refused until then.
    ///
    /// An error counts by its kind: [`unavailable`](HandlerError::unavailable) as `Unavailable`, [`permanent`](HandlerError::permanent)
    /// as `Permanent`, which does not open a [`new`](Self::new) breaker, and any other one as `Failed`; what
    /// [`classify_errors`](crate::ConsumerBuilder::classify_errors) would say of it is not asked. A refusal by another breaker
    /// says nothing of this dependency, and neither does a call that is dropped or panics. Give the call a limit that is shorter than the
    /// deadline of its handler: an answer that never comes is an error then, and holds up no other call.
    ///
    /// Inside a run of a consumer that this breaker has admitted as its gate, or inside another call through it, the outcome of that one
    /// counts, and the call is made unless the breaker has changed its state since. A task that the handler spawns is not inside: while the gate
    /// tries a message, its calls are refused.
    ///
    /// ```
    /// use std::time::Duration;
    /// use messagekit::HandlerError;
    /// use messagekit::gate::CircuitBreaker;
    ///
    /// # async fn post(_: i64) -> Result<u16, std::io::Error> { Ok(200) }
    /// async fn charge(provider: &CircuitBreaker, pence: i64) -> Result<(), HandlerError> {
    ///     let answer = tokio::time::timeout(Duration::from_secs(5), post(pence));
    ///     provider.call(async {
    ///         match answer.await.map_err(HandlerError::unavailable)?.map_err(HandlerError::unavailable)? {
    ///             200..=299 => Ok(()),
    ///             // It works, and does not want this one.
    ///             status @ 400..=499 => Err(HandlerError::permanent(format!("HTTP {status}"))),
    ///             status => Err(HandlerError::unavailable(format!("HTTP {status}"))),
    ///         }
    ///     }).await
    /// }
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// let provider = CircuitBreaker::new(5, Duration::from_secs(30));
    /// charge(&provider, 420).await.unwrap();
    /// # });
    /// ```
    ///
    /// # Errors
    /// The error of the call, or one of kind [`Unavailable`](HandlerErrorKind::Unavailable) if the call was not made: a retry is useful
    /// when the open time is over.
    ///
    /// # Cancel safety
    /// Dropping the future drops the call. If it was the one that is tried, another one is tried next.
    pub async fn call<T, E: Into<HandlerError>>(
        &self,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, HandlerError> {
        let permit = CallPermit::of(self).map_err(HandlerError::unavailable)?;
        let answer = match permit.stamp {
            Some(stamp) => Inside::also(&self.shared, stamp).run(call).await,
            None => call.await,
        };
        let answer = answer.map_err(Into::into);
        permit.settle(answer.as_ref().err());
        answer
    }
}

/// A call that is made. Dropped, it leaves the trial to another call if it was that.
struct CallPermit<'a> {
    shared: &'a Shared,
    /// `None` if the outcome of what is around it counts.
    stamp: Option<u64>,
}

impl<'a> CallPermit<'a> {
    fn of(breaker: &'a CircuitBreaker) -> Result<Self, CallRefused> {
        let (shared, now) = (&*breaker.shared, Instant::now());
        let refused = |until: Option<Instant>| Err(CallRefused { retry_in: until.map(|until| until - now) });
        let inside = Inside::stamp_of(&breaker.shared);
        if inside.is_some_and(|stamp| shared.breaker.look(|breaker| breaker.is_current(stamp))) {
            return Ok(Self { shared, stamp: None });
        }
        match shared.breaker.look(|breaker| breaker.admit(now)) {
            Admission::All(stamp) | Admission::One(stamp) => Ok(Self { shared, stamp: Some(stamp) }),
            Admission::Until(until) => refused(Some(until)),
            Admission::AfterTrial => refused(None),
        }
    }

    fn settle(mut self, failed: Option<&HandlerError>) {
        // First, because a function of the user may panic: the call is then one that was dropped.
        let verdict = self.verdict(failed);
        if let Some(stamp) = self.stamp.take() {
            self.shared.breaker.change(|breaker| breaker.record(stamp, verdict, Instant::now()));
        }
    }

    fn verdict(&self, failed: Option<&HandlerError>) -> Verdict {
        let was_refused = |error: &HandlerError| error.cause::<CallRefused>().is_some();
        match failed {
            None => Verdict::Success,
            Some(error) if !was_refused(error) && (self.shared.counts)(counted_as(error)) => Verdict::Failure,
            Some(_) => Verdict::Neutral,
        }
    }
}

impl Drop for CallPermit<'_> {
    fn drop(&mut self) {
        if let Some(stamp) = self.stamp.take() {
            self.shared.breaker.change(|breaker| breaker.abandon(stamp));
        }
    }
}

fn counted_as(error: &HandlerError) -> FailureKind {
    match error.kind() {
        HandlerErrorKind::Unavailable => FailureKind::Unavailable,
        HandlerErrorKind::Permanent => FailureKind::Permanent,
        HandlerErrorKind::Undecodable => FailureKind::Undecodable,
        HandlerErrorKind::Unclassified | HandlerErrorKind::Retryable => FailureKind::Failed,
    }
}

/// A call that a [circuit breaker](CircuitBreaker::call) did not make: find it by [`HandlerError::cause`], to answer from elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CallRefused {
    /// The rest of the open time; `None` while the call that is tried has not ended.
    pub retry_in: Option<Duration>,
}

impl fmt::Display for CallRefused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.retry_in {
            Some(left) => {
                write!(f, "the circuit breaker is open for another {left:.1?}, and the call was not made")
            }
            None => f.write_str("the circuit breaker tries one call, and this one was not made"),
        }
    }
}

impl StdError for CallRefused {}
