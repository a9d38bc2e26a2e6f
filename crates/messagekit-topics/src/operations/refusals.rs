//! Requests that no topic could answer.

use std::borrow::Cow;

use messagekit::{Error, ErrorKind};

/// Creates the error for a request that contradicts itself, or whose numbers are out of range.
pub(super) fn refused(text: impl Into<Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, text)
}
