//! The admin over PostgreSQL.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod console;
mod document;
mod patience;
mod rejected;
mod stock;
