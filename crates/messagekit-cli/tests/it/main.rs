//! The command line as a person meets it: output, exit codes, and one line for each mistake.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod admin;
mod bookkeeper;
mod cleanup;
mod command;
mod connector;
mod console;
mod dlq;
mod migrate;
mod mistakes;
mod relay;
mod replay;
mod server;
