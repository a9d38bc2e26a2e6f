//! Shared helpers for tests with real services.
//!
//! `cargo xtask test` (or `cargo xtask stack up`) starts the services and sets variables with their addresses. A test that needs
//! a service and does not find it fails; it is never skipped.

mod authority;
mod broker_failures;
mod caller;
mod database;
mod events;
mod hostile_names;
mod kafka_topic;
mod launch;
pub mod locks;
mod mirror;
mod otlp_receiver;
mod port;
mod program;
mod projection;
mod python;
pub mod random_lives;
pub mod raw_amqp;
pub mod schedules;
mod server;
pub mod services;
pub mod shipping;
mod stated_size;
mod turns;

pub use authority::Authority;
pub use broker_failures::{broker_failures, given_up_after};
pub use caller::Caller;
pub use database::Database;
pub use events::{OrderPlaced, StepTaken};
pub use hostile_names::HOSTILE_NAMES;
pub use kafka_topic::make_topic;
pub use launch::{Launch, built, command};
pub use mirror::Mirror;
pub use otlp_receiver::{Measured, OtlpReceiver, Span};
pub use port::Port;
pub use program::Program;
pub use projection::Projection;
pub use python::{printed, python};
pub use server::Server;
pub use stated_size::is_full;
pub use turns::{Turn, Turns};
