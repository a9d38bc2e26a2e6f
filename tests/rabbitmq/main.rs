//! The adapter for RabbitMQ with a real broker.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
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
