//! The ids of events that are published again.

use messagekit::operations::ReplayIds;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The ids under which events are published again.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IdsWord {
    /// Their own: a consumer that has handled an event skips it.
    #[default]
    Same,
    /// New ones, with the old one in the header `replayOf`: every consumer handles the events again.
    New,
}

impl From<IdsWord> for ReplayIds {
    fn from(ids: IdsWord) -> Self {
        match ids {
            IdsWord::Same => Self::Same,
            IdsWord::New => Self::New,
        }
    }
}

impl From<ReplayIds> for IdsWord {
    fn from(ids: ReplayIds) -> Self {
        match ids {
            ReplayIds::Same => Self::Same,
            ReplayIds::New => Self::New,
        }
    }
}
