//! A fault between services.

use serde::Serialize;

/// The value of a column that does not apply.
pub(super) const NONE: &str = "-";

/// A fault, or what may become one, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// The event type; `-` if it is about no event.
    pub(super) event: String,
    /// The services, comma-separated.
    pub(super) service: String,
    pub(super) versions: String,
    pub(super) problem: String,
    pub(super) repair: String,
}

/// Returns the words of several values, comma-separated.
pub(super) fn joined(values: impl IntoIterator<Item = impl ToString>) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(", ")
}
