//! What the sections of a configuration share.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where relative paths start, and what the program has read so far.
pub(super) struct Reader {
    /// Path of the file for messages; `None` without a file.
    pub(super) file: Option<String>,
    /// Base folder of relative paths in the file.
    pub(super) folder: PathBuf,
    keys: Mutex<ReadKeys>,
}

/// Keys that the program has read, by path: `rule.0.topics`.
#[derive(Default)]
pub(super) struct ReadKeys {
    pub(super) values: BTreeSet<String>,
    pub(super) sections: BTreeSet<String>,
    /// Sections of other programs.
    pub(super) elsewhere: BTreeSet<String>,
    pub(super) problems: Vec<String>,
}

impl Reader {
    pub(super) fn new(file: Option<String>, folder: PathBuf, problems: Vec<String>) -> Self {
        Self { file, folder, keys: Mutex::new(ReadKeys { problems, ..ReadKeys::default() }) }
    }

    pub(super) fn keys(&self) -> MutexGuard<'_, ReadKeys> {
        // A panic cannot leave the lists inconsistent.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReadKeys {
    /// Adds a problem; a repeated problem is reported once.
    pub(super) fn report(&mut self, problem: String) {
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
