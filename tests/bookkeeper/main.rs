//! What a bookkeeper makes of failed messages of real brokers.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
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
