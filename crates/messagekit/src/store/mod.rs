//! The interface to a database: transactions, and rows inside them.
//!
//! [`Store`] provides transactions. A consumer writes its [`Inbox`] in them, a producer [`OutboxRows`]. Stores move
//! [`Message`](crate::Message)s and never decode payloads.

mod absent;
mod attempts;
mod bookkeeping;
mod claim;
mod create_span;
mod event_encoder;
mod failed_message_rows;
mod failure;
mod in_transaction;
mod inbox;
mod markers;
mod migration;
mod no_store;
mod offsets;
mod outbox;
mod outbox_events;
mod positions;
mod priming;
mod primings;
mod processed;
mod retries;
mod schema_version;
mod set_aside;
#[allow(clippy::module_inception, reason = "a module has the name of the thing in it")]
mod store;
mod stored;
mod transact;
mod transaction_spans;
mod two_phase;
mod unhandled_type;
mod wake;

pub use absent::Absent;
pub(crate) use absent::no_primings;
pub use attempts::Attempts;
pub use bookkeeping::{Bookkeeping, BrokerDeadLetter, Redelivery};
pub use claim::claim;
pub(crate) use event_encoder::EventEncoder;
pub use failed_message_rows::FailedMessageRows;
pub use failure::{Failure, FailureKind, Next};
pub use in_transaction::in_transaction;
pub(crate) use inbox::has;
pub use inbox::{FullInbox, Inbox, PartOf};
pub use markers::Markers;
pub use migration::{Migration, MigrationStatus, MigrationSteps};
pub use no_store::NoStore;
pub use offsets::NextOffset;
pub use outbox::{Outbox, OutboxRows, WithoutRelay};
pub use outbox_events::OutboxEvents;
pub use positions::Positions;
pub use priming::Priming;
pub use primings::Primings;
pub use processed::{Claim, ClaimRequest};
pub use retries::{Follower, Retries, RetryLease};
pub use schema_version::{KnownSteps, SchemaFit, SchemaVersion};
pub use set_aside::{ParkingLimits, ReceivedMessage, SetAsideOutcome};
pub use store::Store;
pub(crate) use store::classify;
pub use stored::{
    TRANSACTION_ENDED, headers_from_json, headers_to_json, lost_marker, stored_outcome, stored_word,
    unknown_outcome,
};
pub use transact::{BoxFuture, End, TransactError, Work};
pub(crate) use transaction_spans::{CUT_OFF, TransactionSpans, address};
pub use two_phase::apply_prepared;
pub use unhandled_type::{MOST_UNHANDLED_TYPES, UnhandledType};
pub use wake::Wake;
