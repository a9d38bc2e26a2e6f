//! The program `messagekit relay` between a real PostgreSQL and a real Kafka, killed, frozen and refused.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests in their stated size, `MESSAGEKIT_SEED` chooses what is rolled back.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod clocks;
mod command;
mod crash_points;
mod discard;
mod file;
mod frozen;
mod health;
mod open_transaction;
mod program;
mod restarts;
mod stage;
mod storm;
mod topic;
mod verdict;
mod writers;

/// The storm takes the broker away from every other test.
static ALONE: std::sync::RwLock<()> = std::sync::RwLock::new(());
