//! Threads that wake each other, in every order in which they may meet: the gates of a consumer, the threads that poll
//! Kafka, the writer thread of SQLite.
//!
//! The files under test are compiled here with shuttle's locks, atomics and threads. shuttle schedules the threads at each of
//! them. A thread that is never woken is a deadlock, which shuttle reports: here no wait ever times out. Beside each model is
//! one without the wake, which must be refused.

#![allow(clippy::unwrap_used, reason = "a thread that panicked has failed its model")]

mod sync;

#[allow(dead_code, reason = "the limits of a page and the errors are no part of the model")]
#[path = "../../crates/messagekit-kafka/src/log/flow.rs"]
mod flow;
#[path = "../../crates/messagekit-kafka/src/in_flight.rs"]
mod in_flight;
#[path = "../../crates/messagekit-sqlite/src/writer/unpark.rs"]
mod unpark;
#[path = "../../crates/messagekit/src/gate/watched.rs"]
mod watched;

mod gate;
mod log_flow;
mod orders;
mod poll_thread;
mod writer_thread;
