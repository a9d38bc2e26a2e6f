//! The rights of a token's owner.

use std::str::FromStr;

use messagekit::{Error, ErrorKind};
use serde::{Deserialize, Deserializer};

/// Defines the rights of a token's owner; each role includes the rights of those before it, from [`Viewer`](Self::Viewer) on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Role {
    /// Appends to topics, and consumes and acknowledges their records. Nothing else: it is the role of programs.
    Service,
    /// Sees failures with their position and reason, health and metrics; never a payload or a header's value.
    Viewer,
    /// Also sees payloads and header values.
    Reader,
    /// Retries, discards, undoes discards and replays.
    Operator,
    /// Everything, also what services do, and statements that make, change and drop topics.
    Admin,
}

messagekit::adapter::words! {
    /// The weakest is the first.
    Role {
        Service: "service",
        Viewer: "viewer",
        Reader: "reader",
        Operator: "operator",
        Admin: "admin",
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfiguration, format!("role is none of {known}"))
        })
    }
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error: Error| serde::de::Error::custom(error))
    }
}
