//! What an adapter implements, and what it is given: stores, sources, publishers.
//!
//! A store keeps the outbox, the processed markers and the failed messages of one database: [`Store`](crate::Store) with
//! an [`Inbox`] for consumers and [`OutboxRows`] for producers. A source
//! yields messages: [`Source`], [`Subscriber`], [`Delivery`], [`Receipt`]. A [`Publisher`] sends them. An [`OperatorRow`] is
//! a row of what [operators](crate::operations) read, which is decoded alike for all stores. The conformance suites of
//! `messagekit-testkit` check each of them.

#[doc(inline)]
pub use crate::__adapter_error as adapter_error;
#[doc(inline)]
pub use crate::__words as words;
pub use crate::consumer::RETRY_POLL;
pub use crate::data_check::DataCheck;
pub use crate::failed_messages::instance;
pub use crate::handler::CatchAll;
pub use crate::message::{
    EventLinks, Identity, MAX_HEADERS, MAX_KEY_AND_HEADER_BYTES, MAX_PAYLOAD_BYTES, as_binary, codec, on_wire,
};
pub use crate::names::{check_name, check_topic, check_type};
pub use crate::operator_row::{OperatorRow, Stored};
pub use crate::store::{
    Absent, Attempts, Bookkeeping, BoxFuture, BrokerDeadLetter, ClaimRequest, End, FailedMessageRows,
    Failure, FailureKind, Follower, FullInbox, Inbox, KnownSteps, MOST_UNHANDLED_TYPES, Markers, Migration,
    MigrationStatus, MigrationSteps, Next, NextOffset, OutboxEvents, OutboxRows, PartOf, Positions, Priming,
    Primings, ReceivedMessage, Redelivery, Retries, RetryLease, SchemaFit, SchemaVersion, SetAsideOutcome,
    TRANSACTION_ENDED, TransactError, UnhandledType, Wake, WithoutRelay, Work, apply_prepared,
    headers_from_json, headers_to_json, in_transaction, lost_marker, stored_outcome, stored_word,
    unknown_outcome,
};
pub use crate::telemetry::{RemoteContext, SpanCounts, Telemetry, set_telemetry, telemetry};
pub use crate::transport::{
    BatchLimit, Capabilities, Delivery, Done, Incoming, IntoSource, LagProbe, Lane, Outage, PartitionLag,
    PublishError, PublishErrorKind, PublishSpans, Published, Publisher, Receipt, RememberedOffsets,
    RetentionProbe, RoutingKey, Source, Subscriber, TopicList, TopicRetention, Watermark,
};
