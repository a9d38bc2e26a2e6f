//! How far a consumer is behind.

use messagekit::Stats;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How far a consumer is behind.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
pub struct Lag {
    /// Messages that are not settled, those in work included.
    pub messages: u64,
    /// The age of the oldest of them.
    pub seconds: f64,
}

impl Lag {
    pub(super) fn of(stats: &Stats) -> Option<Self> {
        let parts = stats.lag();
        let oldest = parts.iter().map(|part| part.oldest).max()?;
        Some(Self { messages: parts.iter().map(|part| part.messages).sum(), seconds: oldest.as_secs_f64() })
    }
}
