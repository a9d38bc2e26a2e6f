//! Defines the error type of this crate.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

/// Classifies an [`Error`] by what the caller can do about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A database or broker did not respond, or is full. Nothing happened; retry later.
    Unavailable,
    /// Another transaction holds a needed lock, or a deadlock or serialisation failure occurred. Retry at once.
    Conflict,
    /// The transaction held the write lock longer than the store allows and was rolled back. Do less in one
    /// transaction.
    TransactionTimeout,
    /// The transaction ended before this statement. An *earlier* statement failed.
    Aborted,
    /// A commit was sent and its response was lost. The work is either complete or not done at all.
    OutcomeUnknown,
    /// Another process took over the work of this one. Release it; do not retry.
    Fenced,
    /// A record claim does not hold these records any more: another worker may have them. Undo what was done for them.
    ClaimLost,
    /// The call would wait for a lock that its own task holds.
    WouldDeadlock,
    /// The connection has no open transaction. Begin one to commit the event together with your rows.
    NotInTransaction,
    /// The store, log or transaction was closed.
    Closed,
    /// An event, topic, key or identifier has an invalid form.
    InvalidEvent,
    /// A message, or the name of an operator, is larger than the limit.
    TooLarge,
    /// A record cannot be decoded as the event that it claims to be.
    Undecodable,
    /// The database refuses a value, such as a number that is out of range. The same statement fails again with it.
    InvalidData,
    /// A setting or a combination of settings is invalid.
    InvalidConfiguration,
    /// A server does not know the caller's token, or the token has not the right. Use another one.
    Unauthorized,
    /// A topic has a record with the same dedup fields.
    Duplicate,
    /// A topic and a program have different schemas, or different rules.
    SchemaMismatch,
    /// The requested item does not exist.
    NotFound,
    /// The request lies outside the kept range.
    OutOfRange,
    /// The item is in a state that does not allow this. Another caller may have changed it first.
    WrongState,
    /// The tables are missing, older or newer than this program.
    Schema,
    /// The stored data contradicts itself.
    Corrupt,
    /// Any other error, usually a mistake in a statement.
    Other,
}

impl ErrorKind {
    /// Returns whether an unchanged retry of the same call may succeed.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unavailable
                | Self::Conflict
                | Self::TransactionTimeout
                | Self::OutcomeUnknown
                | Self::Fenced
        )
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unavailable => "unavailable",
            Self::Conflict => "conflict",
            Self::TransactionTimeout => "transaction_timeout",
            Self::Aborted => "aborted",
            Self::OutcomeUnknown => "outcome_unknown",
            Self::Fenced => "fenced",
            Self::ClaimLost => "claim_lost",
            Self::WouldDeadlock => "would_deadlock",
            Self::NotInTransaction => "not_in_transaction",
            Self::Closed => "closed",
            Self::InvalidEvent => "invalid_event",
            Self::TooLarge => "too_large",
            Self::Undecodable => "undecodable",
            Self::InvalidData => "invalid_data",
            Self::InvalidConfiguration => "invalid_configuration",
            Self::Unauthorized => "unauthorized",
            Self::Duplicate => "duplicate",
            Self::SchemaMismatch => "schema_mismatch",
            Self::NotFound => "not_found",
            Self::OutOfRange => "out_of_range",
            Self::WrongState => "wrong_state",
            Self::Schema => "schema",
            Self::Corrupt => "corrupt",
            Self::Other => "other",
        })
    }
}

/// Describes a failure: its kind, its text, and named values for diagnosis.
///
/// The text is one lowercase sentence without a full stop. `{error}` shows this error alone, and `{error:#}` its sources too, as [`chain`]
/// joins them. An error never holds a payload or a secret. A clone only increments a reference count, so one failed commit can report its error to every
/// waiting caller.
///
/// ```
/// use messagekit::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::TooLarge, "payload of 2000000 bytes is over the limit").with("topic", "orders.order");
/// assert!(!error.is_transient());
/// assert_eq!(error.context("topic"), Some("orders.order"));
/// assert_eq!(error.to_string(), "payload of 2000000 bytes is over the limit (topic orders.order)");
///
/// let refused = std::io::Error::other("connection refused");
/// let error = Error::new(ErrorKind::Unavailable, "broker does not answer").caused_by(refused);
/// assert_eq!(format!("{error:#}"), "broker does not answer: connection refused");
/// ```
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    text: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// Creates an error of a kind with one lowercase sentence.
    pub fn new(kind: ErrorKind, text: impl Into<Cow<'static, str>>) -> Self {
        Self(Arc::new(Inner { kind, text: text.into(), context: Vec::new(), source: None }))
    }

    /// Adds a named value that helps locate the cause.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        Arc::make_mut(&mut self.0).context.push((name, value.to_string()));
        self
    }

    /// Sets the source of this error.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Arc::make_mut(&mut self.0).source = Some(Arc::from(source.into()));
        self
    }

    /// Returns the kind, which says what a caller can do.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Returns whether an unchanged retry of the same call may succeed.
    pub fn is_transient(&self) -> bool {
        self.0.kind.is_transient()
    }

    /// Returns the value stored under `name`.
    pub fn context(&self, name: &str) -> Option<&str> {
        self.0.context.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Returns the outermost cause of a type, such as an error of your own from a [transaction](crate::Outbox::transaction).
    ///
    /// ```
    /// # use messagekit::{Error, ErrorKind};
    /// let refused = std::io::Error::other("connection refused");
    /// let error = Error::new(ErrorKind::Unavailable, "broker does not answer").caused_by(refused);
    /// assert!(error.cause::<std::io::Error>().is_some());
    /// assert!(error.cause::<std::num::ParseIntError>().is_none());
    /// ```
    pub fn cause<T: StdError + 'static>(&self) -> Option<&T> {
        find_cause(self.source())
    }
}

/// Returns the first error of a type in a chain that begins with `first`.
pub(crate) fn find_cause<'a, T: StdError + 'static>(
    first: Option<&'a (dyn StdError + 'static)>,
) -> Option<&'a T> {
    let mut next = first;
    while let Some(cause) = next {
        if let Some(found) = cause.downcast_ref() {
            return Some(found);
        }
        next = cause.source();
    }
    None
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.alternate() {
            return f.write_str(&chain(self));
        }
        f.write_str(&self.0.text)?;
        for (index, (name, value)) in self.0.context.iter().enumerate() {
            write!(f, "{}{name} ", if index == 0 { " (" } else { ", " })?;
            // Escape control characters: values may be untrusted, and a log entry must stay on one line.
            for part in value.split_inclusive(char::is_control) {
                match part.char_indices().next_back().filter(|(_, last)| last.is_control()) {
                    Some((end, control)) => write!(f, "{}{}", &part[..end], control.escape_default())?,
                    None => f.write_str(part)?,
                }
            }
        }
        if self.0.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {})", self.0.kind, chain(self))
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// Joins an error and its sources into one line: `outer: cause: cause of the cause`.
///
/// A cause is not repeated if its parent's text ends with it.
pub fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let part = cause.to_string();
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_begin_a_line_of_the_log() {
        let error =
            Error::new(ErrorKind::NotFound, "no queue wants it").with("topic", "a\n2026 ERROR b\u{1b}[2m");
        assert_eq!(error.to_string(), r"no queue wants it (topic a\n2026 ERROR b\u{1b}[2m)");
    }

    #[test]
    fn a_chain_reads_from_the_outside_in_and_repeats_nothing() {
        let refused = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused");
        let broker = Error::new(ErrorKind::Unavailable, "broker unavailable").caused_by(refused);
        let outer =
            Error::new(ErrorKind::Unavailable, "publish").with("topic", "orders.order").caused_by(broker);
        assert_eq!(chain(&outer), "publish (topic orders.order): broker unavailable: connection refused");

        let wrapper = Error::new(ErrorKind::Other, "read: no such file")
            .caused_by(std::io::Error::other("no such file"));
        assert_eq!(chain(&wrapper), "read: no such file");
    }

    #[test]
    fn only_kinds_that_pass_by_themselves_are_transient() {
        assert!(Error::new(ErrorKind::Conflict, "deadlock").is_transient());
        assert!(!Error::new(ErrorKind::WouldDeadlock, "own lock").is_transient());
        assert!(!Error::new(ErrorKind::Aborted, "ended").is_transient());
    }
}
