//! Typed topics in one file, as a program sees them.
//!
//! The modules that use `home` run in the tests of PostgreSQL, too, beside a home there.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod claims_together;
mod definitions;
mod drops;
mod file;
mod file_drops;
mod file_retention;
mod home;
mod json;
mod kept_graph;
mod lineage;
mod migrate;
mod observers;
#[cfg(feature = "operations")]
mod operations;
mod pairs;
mod pipelines;
mod poisoned_graphs;
mod random_pipelines;
mod retention;
mod settled;
mod topics;
mod year;
