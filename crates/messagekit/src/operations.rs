//! What operators' tools use of a database: failed messages, replays, and the health of an outbox.
//!
//! [`FailedMessages`] lists, shows and moves failed messages; [`StateMachine`] is the table of their transitions. [`Replays`]
//! publishes stored events again. [`EventHistory`] looks up one event and those around it, [`Audit`] what operators did, and
//! [`DatabaseStatus`] all at a glance. [`OutboxHealth`] says how far publishing is behind. [`Doctor`] finds faults of the setup.
//! With [`Cleanup`], [`Operations`] is all of them.

pub use crate::audit::{AUDIT_ACTIONS, Audit, AuditFilter, AuditRecord};
pub use crate::byte_text::ByteText;
pub use crate::diagnosis::{
    CLOCK_DIFFERS, Check, DedupReach, Diagnosis, Doctor, EVENT_TYPE_MISSPELT, EVENTS_REJECTED, Finding,
    MISSPELT_FOUND, RELAY_ABSENT, Repair, SCHEMA_PENDING, SERVICE_UNREACHABLE, Severity, TABLE_SOURCE_FAULTY,
    Unchecked,
};
pub use crate::event_history::{
    ConsumerOutcome, EventDetail, EventFailure, EventHistory, EventRecord, LinkedEvent, MAX_ENTRIES,
    Publication, PublicationState, PublisherMode, PublisherState, UnpublishedEvent, chosen_by,
};
pub use crate::failed_messages::{
    Action, ActionOrder, ActionPlan, ActionResult, ActionTarget, ChosenMessages, FailedMessage,
    FailedMessageFilter, FailedMessageGroup, FailedMessageHead, FailedMessageSelection, FailedMessageState,
    FailedMessageTotal, FailedMessageVersion, FailedMessages, FailedRun, Operator, Origin, Pace, RetryRunner,
    SelectionBatch, StateMachine, StateReason, no_failed_message,
};
pub use crate::histogram::HistogramCounts;
pub use crate::marker_outcome::MarkerOutcome;
pub use crate::outbox_health::{
    LagPart, OutboxHealth, OutboxLag, SourceState, UnreadPart, rejected_problem, source_problems,
};
pub use crate::replay::{
    ConsumerEvents, EventCursor, EventFilter, EventHead, ReplayCount, ReplayIds, ReplayJob, ReplayLease,
    ReplayOrder, ReplayState, Replays, Republication, StoredEvent, no_replay, other_count, out_of_range,
    replay_ended,
};
pub use crate::status::{
    COUNT_LIMIT, ConsumerPosition, ConsumerStatus, DatabaseStatus, OutboxStatus, StateCount, UNHANDLED_LIMIT,
    UNHANDLED_SHOWN, UnhandledMessages, beyond_ids_of,
};

use crate::cleanup::Cleanup;

/// What operators' tools need of a database: failed messages, replays, the history of events, the audit, the health of its
/// outbox, the cleanup, and the faults of its setup.
pub trait Operations:
    FailedMessages + Replays + EventHistory + Audit + DatabaseStatus + OutboxHealth + Cleanup + Doctor
{
}

impl<T> Operations for T where
    T: FailedMessages
        + Replays
        + EventHistory
        + Audit
        + DatabaseStatus
        + OutboxHealth
        + Cleanup
        + Doctor
        + ?Sized
{
}
