//! The error of a handler.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::chain;

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
    pub(crate) class: Class,
    pub(crate) source: Box<dyn StdError + Send + Sync>,
    /// The index of the event that failed, among several.
    pub(crate) culprit: Option<usize>,
    /// The wait before the next run, in place of the backoff.
    pub(crate) wait: Option<Duration>,
}

/// Gives an error that a handler returned with `?` its class.
pub(crate) type ClassifyError = Arc<dyn Fn(Box<dyn StdError + Send + Sync>) -> HandlerError + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The store classifies it.
    Unclassified,
    Retryable,
    Permanent,
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
        Self { class: Class::Unclassified, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error that may pass: the message is retried after a wait, and dead after the last attempt.
    pub fn retryable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Retryable, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error that no retry cures: the message is dead at once.
    pub fn permanent(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Permanent, source: error.into(), culprit: None, wait: None }
    }

    /// Creates an error for an unavailable dependency: the lane pauses and the message loses no attempt. After
    /// [`unavailable_limit`](crate::ConsumerBuilder::unavailable_limit) the message is parked and its lane continues.
    pub fn unavailable(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { class: Class::Unavailable, source: error.into(), culprit: None, wait: None }
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

    pub(super) fn undecodable(error: crate::Error) -> Self {
        Self { class: Class::Undecodable, source: Box::new(error), culprit: None, wait: None }
    }
}

/// `HandlerError` does not implement [`std::error::Error`], so every error converts by `?`.
impl<E: StdError + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self::of(error)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&chain(self.source.as_ref()))
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HandlerError({:?}: {self})", self.class)
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
        assert_eq!((error.class, inside), (Class::Unclassified, Some(ErrorKind::Unavailable)));
    }
}
