//! messagekit: transactional outbox, idempotent consumers, failed messages that can be repaired.
//!
//! A service writes its row and its event in one transaction. A consumer writes a processed marker in the transaction
//! of its effects, so the effects happen once. A message that cannot be applied is kept whole, with its error, until a
//! retry applies it.
//!
//! ```
//! use messagekit::{Envelope, Event, HandlerError};
//! use messagekit_memory::MemoryTx;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "orders.order.placed", key = "order_id")]
//! struct OrderPlaced { order_id: String, pence: i64 }
//!
//! // The handler's effects, the mark and further events share the transaction.
//! async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
//!     tx.add("billed", order.data.pence);
//!     Ok(())
//! }
//! ```
//!
//! # Where to begin
//!
//! 1. [`Event`]: declare a fact, its type and its key.
//! 2. [`Outbox`]: add it to the transaction of your rows.
//! 3. [`Consumer`]: handle each message once, with its effects in one transaction.
//! 4. [`Runner`]: run consumers, relays and servers in one process, and stop them in order.
//! 5. [Write a service](https://github.com/messagekit/messagekit/blob/main/docs/write-a-service.md): all of it in one program, with calls to
//!    others, errors, health and tests.
//!
//! # What else there is
//!
//! - [`Envelope`]: an event with its metadata; [`EventRegistry`] reads several types without a consumer.
//! - [`HandlerError`], [`OnFailure`], [`Backoff`]: what happens to a message that a handler refuses. [`gate`]: what holds a consumer back.
//! - [`Router`]: handlers that several consumers share.
//! - [`EventPublisher`]: typed events without an outbox, and what that loses.
//! - [`relay`]: publishes from the outbox to a broker.
//! - [`operations`]: what operators do: list, show and retry failed messages, publish events again.
//! - [`claim`]: the processed marker alone, for a custom loop or an HTTP idempotency key.
//! - [`adapter`] and [`log`]: what a database or a broker implements.
//!
//! Other crates hold the adapters (`messagekit-sqlite` is embedded, `messagekit-memory` serves tests) and what programs add:
//! `messagekit-service`, `messagekit-schema`, `messagekit-bus`, `messagekit-bridge`, `messagekit-bookkeeper`, `messagekit-config`, `messagekit-prometheus`.
//!
//! # What it does not do
//!
//! Effects outside the handler's transaction (an e-mail, a call to another service) happen at least once, not exactly
//! once. The order of a key is lost if one of its messages fails and one of these holds: the source is a queue, the
//! store is not a database, or the consumer uses [`OnFailure::DeadLetter`].
//!
//! # Features
//!
//! - `json-schema`: schemas of events from their structs, for `messagekit-schema`.
//! - `openapi`: the words of operators, such as a state, describe themselves for documents of OpenAPI.
//! - `crash-points`: a test ends the process at a named point. Do not enable it in production.

// The derive macro names this crate by its public path, also inside it.
extern crate self as messagekit;

pub mod adapter;
mod adapter_error;
mod audit;
mod byte_text;
pub mod cleanup;
pub mod consumer;
#[doc(hidden)]
pub mod crash;
mod data_check;
mod diagnosis;
mod error;
pub mod event;
mod event_history;
mod event_registry;
mod failed_messages;
#[doc(hidden)]
pub mod fnv;
pub mod gate;
pub mod handler;
mod hex;
mod histogram;
pub mod log;
mod marker_outcome;
mod message;
mod names;
pub mod operations;
mod operator_row;
mod outbox_health;
pub mod relay;
mod replay;
mod runner;
mod shutdown;
mod status;
mod store;
mod sync;
mod telemetry;
mod transport;
mod words;

pub use consumer::{Backoff, Consumer, ConsumerBuilder, Delivered, OnFailure, Stats};
pub use error::{Error, ErrorKind, chain};
pub use event::Event;
pub use event_registry::{AnyEvent, EventRegistry, RegisteredEvent};
pub use handler::{
    HandlerError, HandlerErrorKind, IdempotentConsumer, Middleware, OnNewerMinor, OnUnknown, Router,
};
pub use message::{
    DataVersion, DeliveryInfo, Envelope, Headers, Message, MessageId, Meta, Position, WireForm, headers,
};
pub use messagekit_macros::Event;
pub use runner::Runner;
pub use shutdown::Shutdown;
pub use store::{Claim, NoStore, Outbox, ParkingLimits, Store, claim};
pub use transport::EventPublisher;
