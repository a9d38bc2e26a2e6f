//! The adapter over librdkafka's mock cluster: no broker is needed. What the mock cannot play runs in `tests/kafka`.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod back_pressure;
mod conformance;
mod group;
mod log;
mod mock;
mod publishing;
mod starts;
