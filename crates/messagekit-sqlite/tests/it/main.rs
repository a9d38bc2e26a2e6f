//! Tests of the embedded engine through its public API.
// Fixtures are test code too, but clippy recognizes only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod cleanup;
mod conformance;
mod engine_batch;
mod engine_guard;
mod engine_open;
mod engine_transaction;
mod leaving;

mod parking;

mod tables_consumer;
mod tables_copies;
mod tables_cursor;
mod tables_inbox;
mod tables_log;
mod tables_subscriber;
mod tables_support;
mod upgrades;
