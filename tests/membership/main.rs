//! A group under storm: members join, leave, are killed and frozen, while their handlers are slow.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod group;
mod process;
mod progress;
mod recovery;
mod steady_supply;
mod storm;
mod watch;
