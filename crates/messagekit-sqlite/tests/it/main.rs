//! Tests of the embedded engine through its public API.
// Fixtures are test code too, but clippy recognizes only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod cleanup;
mod conformance;
mod cursors;
mod guard;
mod later_clock;
mod log;
mod migrations;
mod opening;
mod record_claims;
mod recorded_positions;
mod relay;
mod replaced;
mod since;
mod subscriber;
mod support;
mod temporary;
mod transact;
mod transaction;
mod upgrades;
