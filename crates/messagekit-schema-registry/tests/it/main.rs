//! Avro against the crate that is its model, consumers and publishers behind a registry, and servers that are none.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod avro;
mod conformance;
mod consuming;
mod events;
mod faults;
mod hostile;
mod model;
mod publishing;
mod scripted;
mod slow_registry;
