//! The adapter for RabbitMQ over a real broker.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod broker;
mod conformance;
mod consuming;
mod deaths;
mod hostile;
mod log;
mod names;
mod proxy;
mod publishing;
mod reading_ahead;
mod rights;
mod silence;
mod single_active;
mod tls;
mod topology;
