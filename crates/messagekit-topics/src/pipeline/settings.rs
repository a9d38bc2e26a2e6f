//! The settings of a pipeline.

use std::time::Duration;

use super::failure::Strategy;

/// How often a record may fail before it is dead.
const ATTEMPTS: u32 = 10;

#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) strategy: Strategy,
    /// How many records are committed together, all or nothing.
    pub(crate) atomic_batch: Option<usize>,
    pub(crate) attempts: u32,
    /// How long it waits for another run over its source.
    pub(crate) timeout: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { strategy: Strategy::Strict, atomic_batch: None, attempts: ATTEMPTS, timeout: None }
    }
}
