//! Tests across the crates: what is promised holds on the real engine, in real processes that are really killed.
//!
//! `MESSAGEKIT_FULL=1` runs the long tests in their stated size, `MESSAGEKIT_SEED` chooses the moments of the kills.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod bad_files;
mod bad_names;
mod blocked_lane;
mod book;
mod compose;
mod console;
mod contributors;
mod crash_points;
mod dropped_futures;
mod failed_messages;
mod hostile_records;
mod long_names;
mod misbehaving_handlers;
mod parked_kills;
mod poison_message;
mod random_kills;
mod repository;
mod same_id;
mod shop;
mod standby;
mod state_predicates;
mod strange_records;
mod time;
mod tree;
mod verdict;
mod words;
mod worker;
