//! The documents of the routes.
//!
//! They are of the types that a store answers with, each with the name of its database: [`List`] for a list, [`InDatabase`] for one
//! of them. The types here put several answers together, or hide the parts of a message that a viewer may not see.

pub use crate::database::Unreachable;
pub use crate::events::{Cause, Effect, EventDocument, FoundEvents, ShownEvent, ShownOutcome, ShownRecord};
pub use crate::failed_messages::{FailedMessageDocument, PayloadPreview, ShownHeader};
pub use crate::health::{ConsumerReady, HeldBack, Lag, Status};
pub use crate::replay::StoredEvents;
pub use crate::services::ServiceState;
pub use crate::status::{DatabaseState, OutboxState, StatusDocument};
pub use crate::{InDatabase, List};
