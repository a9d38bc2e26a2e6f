//! The names of claims and of the processes that have them.

use std::fmt;

use messagekit::MessageId;
use serde::{Deserialize, Serialize};

/// The identity of a record claim, never used twice.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordClaimId(String);

impl RecordClaimId {
    /// Creates an id that no other claim has.
    #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    pub fn new() -> Self {
        Self(MessageId::new().as_str().to_owned())
    }

    /// Returns the id of a text that [`as_str`](Self::as_str) returned. A text that no claim has names a claim that is lost.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordClaimId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A process that claims records, or one of its handles of the database.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClaimHolder(String);

impl ClaimHolder {
    /// Returns the holder of a name, which no other process may have.
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Returns the holder of claims that no process has: only their lease ends them.
    pub fn of_leases() -> Self {
        Self("lease".to_owned())
    }

    /// Returns a holder with a name that no other one has.
    pub fn unique() -> Self {
        Self(RecordClaimId::new().0)
    }

    /// Returns the name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
