//! The adapter for Kafka with a real broker.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod back_pressure;
mod broker;
mod clocks;
mod conformance;
mod cut;
mod gates;
mod hostile;
mod lag;
mod leave_group;
mod log_reader;
mod lost_positions;
mod membership;
mod priming;
mod publishing;
mod records;
mod recreated;
mod restored;
mod retention;
mod since;
mod size_limits;
mod transactional_writer;
