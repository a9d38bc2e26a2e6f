//! A closed gate, as health shows it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A gate that is closed.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct HeldBack {
    /// The name of the gate.
    pub gate: String,
    /// Seconds since it closed.
    pub seconds: u64,
}

impl HeldBack {
    pub(super) fn of((gate, since): (&str, Duration)) -> Self {
        Self { gate: gate.to_owned(), seconds: since.as_secs() }
    }
}
