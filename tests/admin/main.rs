//! The admin over PostgreSQL.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod console;
mod document;
mod killed_replay;
mod patience;
mod rejected;
mod stock;
