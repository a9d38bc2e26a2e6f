//! The error of a handler.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::chain;
use crate::error::find_cause;

/// The reason why a handler did not apply a message.
///
/// Any [`std::error::Error`] converts by `?`, and a boxed one or an `anyhow::Error` by [`of`](Self::of). An error that the store classifies as an outage or a lock conflict pauses the consumer, and one of a value that the
/// database refuses is permanent; any other error is retried, unless [`classify_errors`](crate::ConsumerBuilder::classify_errors) says otherwise. Return
/// [`permanent`](Self::permanent) if a retry is useless.
///
/// A text converts through a constructor: `Err(HandlerError::retryable("no such account"))`.
///
/// # What errors do
///
#[doc = include_str!("error_table.md")]
///
/// The key waits under [`OnFailure::ParkKey`](crate::OnFailure::ParkKey); under `DeadLetter` it goes on, and under `Block` the lane
/// waits with it. A poison message, which ends the process, is dead after five crashes.
///
/// ```
/// use messagekit::HandlerError;
///
/// fn parse(amount: &str) -> Result<i64, HandlerError> {
///     amount.parse().map_err(HandlerError::permanent)
/// }
/// assert!(parse("a lot").is_err());
/// ```
pub struct HandlerError {
    pub(crate) kind: HandlerErrorKind,
    pub(crate) source: Box<dyn StdError + Send + Sync>,
    /// The index of the event that failed, among several.
    pub(crate) culprit: Option<usize>,
    /// The wait before the next run, in place of the backoff.
    pub(crate) wait: Option<Duration>,
}

/// Gives an error that a handler returned with `?` its class.
pub(crate) type ClassifyError = Arc<dyn Fn(Box<dyn StdError + Send + Sync>) -> HandlerError + Send + Sync>;

/// What a handler says of its error: the constructor that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HandlerErrorKind {
    /// The handler says nothing, as with `?` or [`HandlerError::of`]: the store and the consumer's
    /// [`classify_errors`](crate::ConsumerBuilder::classify_errors) decide.
    Unclassified,
    /// [`HandlerError::retryable`].
    Retryable,
    /// [`HandlerError::permanent`].
    Permanent,
    /// [`HandlerError::unavailable`].
    Unavailable,
    /// The payload does not match the type that the handler takes.
    Undecodable,
}

impl HandlerError {
    /// Creates an error from one that is no [`std::error::Error`] itself and can become one in a box, as an `anyhow::Error`. It is judged as
    /// what `?` converts.
    ///
    /// ```
    /// use std::error::Error;
    /// use messagekit::HandlerError;
    ///
    /// fn charge(pence: i64) -> Result<(), Box<dyn Error + Send + Sync>> {
    ///     if pence > 0 { Ok(()) } else { Err("nothing to charge".into()) }
    /// }
    ///
    /// fn handle(pence: i64) -> Result<(), HandlerError> {
    ///     charge(pence).map_err(HandlerError::of)?;
    ///     Ok(())
    /// }
    /// assert!(handle(0).is_err());
    /// ```
    pub fn of(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: HandlerErrorKind::Unclassified, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error that may pass: the message is retried after a wait, and dead after the last attempt.
    pub fn retryable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: HandlerErrorKind::Retryable, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error that no retry cures: the message is dead at once.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: HandlerErrorKind::Permanent, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error for an unavailable dependency: the lane pauses and the message loses no attempt. After
    /// [`unavailable_limit`](crate::ConsumerBuilder::unavailable_limit) the message is parked and its lane continues.
    pub fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { kind: HandlerErrorKind::Unavailable, source: error.into(), culprit: None, wait: None }
    }

    /// Sets the index, counted from 0, of the event that a handler of several events could not apply: that event is set aside
    /// at once. Without it, the batch is halved until the failing event is alone.
    #[must_use]
    pub fn at(mut self, index: usize) -> Self {
        self.culprit = Some(index);
        self
    }

    /// Sets the wait before the next run in place of the consumer's backoff, at most a year: what a dependency asks for in
    /// `Retry-After`. The run counts as failed, and the attempts of the consumer still end the retries. No effect on an error
    /// that is permanent or unavailable.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use messagekit::HandlerError;
    /// let busy = HandlerError::retryable("too many requests").retry_after(Duration::from_secs(30));
    /// ```
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Returns what the handler says of the error. A test of a handler asks it, without a consumer.
    ///
    /// ```
    /// use messagekit::{HandlerError, HandlerErrorKind};
    ///
    /// let refused = HandlerError::permanent("the card was refused");
    /// assert_eq!(refused.kind(), HandlerErrorKind::Permanent);
    /// ```
    pub fn kind(&self) -> HandlerErrorKind {
        self.kind
    }

    /// Returns the cause of this type: the error that was given to a constructor, or one that it was caused by.
    ///
    /// ```
    /// use messagekit::HandlerError;
    ///
    /// let error = HandlerError::of("many".parse::<i64>().unwrap_err());
    /// assert!(error.cause::<std::num::ParseIntError>().is_some());
    /// ```
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        find_cause(Some(self.source.as_ref()))
    }

    pub(super) fn undecodable(error: crate::Error) -> Self {
        Self { kind: HandlerErrorKind::Undecodable, source: Box::new(error), culprit: None, wait: None }
    }
}

/// Takes every error that can be sent between threads. The compiler explains by it why a text is none.
#[diagnostic::on_unimplemented(
    message = "`{E}` does not become a `HandlerError` by itself",
    label = "not a `std::error::Error`: use a constructor of `HandlerError`",
    note = "a text becomes one by the constructor that says whether a retry helps: `HandlerError::retryable(\"…\")`, `permanent` or `unavailable`",
    note = "a boxed error or an `anyhow::Error` becomes one by `.map_err(HandlerError::of)?`"
)]
pub trait TakesError<E> {
    fn of_error(error: E) -> Self;
}

#[diagnostic::do_not_recommend]
impl<E: StdError + Send + Sync + 'static> TakesError<E> for HandlerError {
    fn of_error(error: E) -> Self {
        Self::of(error)
    }
}

/// `HandlerError` does not implement [`std::error::Error`], so every error converts by `?`.
impl<E> From<E> for HandlerError
where
    Self: TakesError<E>,
{
    fn from(error: E) -> Self {
        Self::of_error(error)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self.source.as_ref()))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerError({:?}: {self})", self.kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Error, ErrorKind};

    #[test]
    fn a_boxed_error_is_judged_as_what_is_in_the_box() {
        let boxed: Box<dyn StdError + Send + Sync> = Box::new(Error::new(ErrorKind::Unavailable, "away"));
        let error = HandlerError::of(boxed);
        let inside = error.source.downcast_ref::<Error>().map(Error::kind);
        assert_eq!((error.kind(), inside), (HandlerErrorKind::Unclassified, Some(ErrorKind::Unavailable)));
    }
}
