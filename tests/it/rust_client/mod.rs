//! The Rust client over a real server.

mod failures;
mod handling;
mod killed;
mod refusals;
mod shop;
mod tls;
