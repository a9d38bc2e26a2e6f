//! A bookkeeper with dead letters of real brokers.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod accounts;
mod killed;
mod outbox;
mod rabbit;
mod ready;
mod records;
mod returns;
mod stage;
mod topics;
mod unreadable;
