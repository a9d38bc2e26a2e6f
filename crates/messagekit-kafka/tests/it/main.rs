//! The adapter over librdkafka's mock cluster, without a broker. Cases that the mock does not support run in
//! `tests/kafka`.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod back_pressure;
mod conformance;
mod group;
mod log;
mod log_reader;
mod mock;
mod ordered_reader;
mod priming;
mod publishing;
mod starts;
