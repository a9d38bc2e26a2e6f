//! A run over one file, and what came of it.

use std::path::Path;

use messagekit_sqlite::Synchronous;

use crate::frame::Ledger;

/// The path of the file, its commit mode, and the number of events.
pub(super) struct Run<'a> {
    pub(super) folder: &'a Path,
    pub(super) synchronous: Synchronous,
    pub(super) events: usize,
}

/// The result of a run over one file.
pub(super) struct Ran {
    pub(super) rate: f64,
    pub(super) ledger: Ledger,
    /// Events per commit, where it is counted.
    pub(super) group: Option<f64>,
}
