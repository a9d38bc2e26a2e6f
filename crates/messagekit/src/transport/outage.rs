//! An outage of a broker or a database.

use std::time::Duration;

/// An outage, as statistics and health pages report it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The last error, or the statement that no response arrives.
    pub error: String,
    /// How long it lasts already.
    pub since: Duration,
}
