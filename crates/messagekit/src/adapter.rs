//! What an adapter implements, and what it is given: stores, sources, publishers.
//!
//! A store keeps the outbox, the processed markers and the failed messages of one database: [`Store`](crate::Store) with
//! [`Processed`], [`Offsets`], [`SetAside`], [`Retries`] and [`InFlightAttempts`], together an [`Inbox`], and [`OutboxRows`]. A source
//! yields messages: [`Source`], [`Subscriber`], [`Delivery`], [`Receipt`]. A [`Publisher`] sends them. The conformance suites of
//! `messagekit-testkit` check each of them.

pub use crate::event::{check_topic, check_type};
pub use crate::message::{Identity, MAX_HEADERS, MAX_KEY_AND_HEADER_BYTES, MAX_PAYLOAD_BYTES, codec};
pub use crate::store::{
    Bookkeeping, BoxFuture, BrokerDeadLetter, ClaimRequest, End, Failure, FailureKind, Follower,
    InFlightAttempts, Inbox, Next, NextOffset, Offsets, OutboxRows, Processed, ReceivedMessage, Redelivery,
    Retries, RetryLease, SetAside, SetAsideOutcome, TransactError, Wake, WithoutRelay, Work,
};
pub use crate::transport::{
    BatchLimit, Capabilities, Delivery, Done, Incoming, Lane, PublishError, PublishErrorKind, Published,
    Publisher, Receipt, RememberedOffsets, RetentionProbe, Source, Subscriber, TopicRetention, Watermark,
};
