//! What operators' tools use of a database: failed messages, replays, and the health of an outbox.
//!
//! [`FailedMessages`] lists, shows and moves failed messages; [`StateMachine`] is the table of their transitions. [`Replays`]
//! publishes stored events again. [`OutboxHealth`] says how far publishing is behind. [`Operations`] is all of them.

pub use crate::failed_messages::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead,
    FailedMessageState, FailedMessageTotal, FailedMessages, Operator, Origin, StateMachine,
    no_failed_message,
};
pub use crate::outbox_health::{Operations, OutboxHealth, OutboxLag};
pub use crate::replay::{
    EventCursor, EventFilter, EventHead, ReplayCount, ReplayIds, ReplayJob, ReplayLease, ReplayOrder,
    ReplayState, Replays, Republication, StoredEvent, no_replay, other_count, out_of_range,
};
