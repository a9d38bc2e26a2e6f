//! What a processed marker says.

use serde::{Deserialize, Serialize};

use crate::Claim;

/// The outcome in a processed marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum MarkerOutcome {
    /// It was applied.
    Done,
    /// It is an open failed message.
    Held,
    /// An operator discarded it.
    Discarded,
}

crate::__words! {
    MarkerOutcome {
        Done: "done",
        Held: "held",
        Discarded: "discarded",
    }
}

impl From<MarkerOutcome> for Claim {
    fn from(outcome: MarkerOutcome) -> Self {
        match outcome {
            MarkerOutcome::Done => Self::Done,
            MarkerOutcome::Held => Self::Held,
            MarkerOutcome::Discarded => Self::Discarded,
        }
    }
}
