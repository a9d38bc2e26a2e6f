//! The adapter for Kafka over a real broker.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod back_pressure;
mod broker;
mod clocks;
mod conformance;
mod cut;
mod gates;
mod hostile;
mod leave_group;
mod lost_positions;
mod membership;
mod publishing;
mod records;
mod restored;
mod retention;
