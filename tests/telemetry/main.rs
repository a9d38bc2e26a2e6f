//! Traces and metrics over one SQLite file, at a receiver that speaks OTLP. Each scenario runs in processes of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

mod away;
mod exit;
mod logs;
mod metrics;
mod rolled_back;
mod runs;
mod sampling;
mod shop;
mod way;
