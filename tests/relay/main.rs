//! The program `messagekit relay` between a real PostgreSQL and a real Kafka, killed, frozen and refused.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests at their stated size. `MESSAGEKIT_SEED` selects the transactions that are rolled back.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod clocks;
mod command;
mod crash_points;
mod discard;
mod file;
mod frozen;
mod health;
mod open_transaction;
mod ordered_reader;
mod restarts;
mod stage;
mod storm;
mod topic;
mod verdict;
mod writers;

use messagekit_tests::Turns;

/// The storm stops the broker for every other test.
static TURNS: Turns = Turns::of(2);
