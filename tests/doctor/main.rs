//! Each fault that `messagekit doctor` finds is provoked in a real service or file. Its repair is then run as it is
//! printed, and the fault is gone.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod capture;
mod connector;
mod document;
mod groups;
mod kafka;
mod kafka_tools;
mod names;
mod outbox;
mod rabbitmq;
mod relay;
mod rights;
mod server;
mod settings;
mod sqlite;
mod stage;
mod tables;
