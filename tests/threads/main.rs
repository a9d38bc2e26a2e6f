//! Threads that wake each other, in the orders in which they may meet: the gates of a consumer, the thread that polls Kafka,
//! the writer thread of SQLite.
//!
//! The files under test are compiled here against shuttle's locks, atomics and threads. shuttle decides who runs at each of
//! them, and a thread that nobody wakes is a deadlock, which it reports: here no wait ever times out. Each model stands beside
//! one in which the wake is left out, and which must be refused.

#![allow(clippy::unwrap_used, reason = "a thread that panicked has failed its model")]

mod sync;

#[path = "../../crates/messagekit-kafka/src/in_flight.rs"]
mod in_flight;
#[path = "../../crates/messagekit-sqlite/src/writer/unpark.rs"]
mod unpark;
#[path = "../../crates/messagekit/src/gate/watched.rs"]
mod watched;

mod gate;
mod orders;
mod poll_thread;
mod writer_thread;
