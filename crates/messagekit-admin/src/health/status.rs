//! A health status.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A health status; a whole has the worst status of its parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything works.
    Healthy,
    /// It works, but an operator should look.
    Degraded,
    /// It does not work.
    Unhealthy,
}

impl Status {
    /// Returns the status of a part with this fault, and with what an operator should look at.
    pub(super) fn of<E>(error: Option<&E>, findings: &[String]) -> Self {
        match (error, findings) {
            (Some(_), _) => Self::Unhealthy,
            (None, []) => Self::Healthy,
            (None, _) => Self::Degraded,
        }
    }
}
