//! The error of this crate, and what RabbitMQ's answers mean.

use std::error::Error as StdError;
use std::fmt;

use lapin::ErrorKind as Amqp;
use messagekit::ErrorKind;

/// What went wrong between this process and RabbitMQ.
///
/// The text is one lowercase sentence; what the broker or the client said is kept as the source. It never holds a password.
#[derive(Clone)]
pub struct Error(messagekit::Error);

impl Error {
    pub(crate) fn new(kind: ErrorKind, text: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self(messagekit::Error::new(kind, text))
    }

    /// Returns what a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind()
    }

    /// Returns whether the same call may succeed later with nothing changed.
    pub fn is_transient(&self) -> bool {
        self.0.is_transient()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

impl From<messagekit::Error> for Error {
    fn from(error: messagekit::Error) -> Self {
        Self(error)
    }
}

impl From<Error> for messagekit::Error {
    fn from(error: Error) -> Self {
        error.0
    }
}

/// Returns the code with which the broker closed a channel; an error that ends the connection has none.
pub(crate) fn channel_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        Amqp::ProtocolError(said) if error.is_amqp_soft_error() => Some(said.get_id()),
        _ => None,
    }
}

/// Says that the broker did not do what was asked, which passes by itself.
pub(crate) fn unavailable(text: impl Into<String>, error: lapin::Error) -> messagekit::Error {
    messagekit::Error::new(ErrorKind::Unavailable, text.into()).caused_by(error)
}

/// Code 403: this user may not.
pub(crate) const ACCESS_REFUSED: u16 = 403;
/// Code 404: not there.
pub(crate) const NOT_FOUND: u16 = 404;
/// Code 406: declared otherwise, or too large.
pub(crate) const PRECONDITION_FAILED: u16 = 406;
