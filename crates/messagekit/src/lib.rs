//! Transactional outbox, idempotent consumers, repairable dead letters.
#![cfg_attr(docsrs, feature(doc_cfg))]

// The derive macro names this crate by its public path, also inside it.
extern crate self as messagekit;

mod consumer;
#[doc(hidden)]
pub mod crash;
mod dead_letters;
mod error;
mod event;
pub mod gate;
pub mod log;
pub mod memory;
mod message;
mod shutdown;
mod store;
mod transport;

pub use consumer::{
    Backoff, Consumer, ConsumerBuilder, ConsumerStats, HandlerError, HandlerFn, IdempotentConsumer,
    OnFailure, OnUnknown, Router, StateHandlerFn, Stats,
};
pub use dead_letters::{DeadLetter, DeadLetters, LetterFilter, LetterState};
pub use error::{Error, ErrorKind, chain};
pub use event::{Event, check_topic, check_type};
pub use message::{
    DeliveryInfo, Envelope, Headers, Identity, MAX_PAYLOAD_BYTES, Message, MessageId, Meta, Place, codec,
    headers,
};
pub use messagekit_macros::Event;
pub use shutdown::Shutdown;
pub use store::{
    BoxFuture, Claim, ClaimRequest, End, Failure, FailureKind, Inbox, Leased, Next, NextOffset, Offsets,
    Outbox, OutboxRows, Processed, Received, Retries, SetAside, SetAsideOutcome, Store, TransactError, Work,
    claim,
};
pub use transport::{
    BatchLimit, Capabilities, Delivery, Done, Incoming, Lane, PublishError, Published, Publisher, Receipt,
    Refusal, Source, Subscriber, Watermark,
};
