//! A run over one file, and what came of it.

use std::path::Path;

use messagekit_sqlite::Synchronous;

use crate::frame::Ledger;

/// The path of the file, its commit mode, and the number of events.
#[derive(Clone, Copy)]
pub(in crate::cells) struct Run<'a> {
    pub(in crate::cells) folder: &'a Path,
    pub(in crate::cells) synchronous: Synchronous,
    pub(in crate::cells) events: usize,
}

/// The result of a run over one file.
pub(in crate::cells) struct Ran {
    pub(in crate::cells) rate: f64,
    pub(in crate::cells) ledger: Ledger,
    /// Events per commit, where it is counted.
    pub(in crate::cells) group: Option<f64>,
}
