//! What can be chosen when a file is opened.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::{Error, SqliteStore};

/// How a commit reaches the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Each commit is synced before it is answered: it survives a power cut.
    #[default]
    Full,
    /// Only checkpoints are synced: a commit survives the death of the process, and a power cut may take the last ones.
    Normal,
}

/// Settings of a [`SqliteStore`].
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open` is called"]
pub struct SqliteOptions {
    pub(crate) synchronous: Synchronous,
    pub(crate) partitions: NonZeroU32,
    pub(crate) lock_bound: Duration,
    pub(crate) busy_limit: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            partitions: const { NonZeroU32::new(8).expect("eight is not zero") },
            lock_bound: Duration::from_millis(250),
            busy_limit: Duration::from_secs(5),
        }
    }
}

impl SqliteOptions {
    /// Chooses how a commit reaches the disk; [`Synchronous::Full`] by default.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Chooses how many partitions a topic gets when it is made without saying so; 8 by default.
    ///
    /// A topic that exists keeps its number.
    pub fn partitions(mut self, partitions: NonZeroU32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Chooses how long a transaction may hold the write lock before it is rolled back; 250 ms by default.
    ///
    /// Nobody else can write meanwhile: neither another task nor another process.
    pub fn lock_bound(mut self, bound: Duration) -> Self {
        self.lock_bound = bound;
        self
    }

    /// Chooses how long to wait for another process that writes to the file; 5 s by default.
    pub fn busy_limit(mut self, limit: Duration) -> Self {
        self.busy_limit = limit;
        self
    }

    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        SqliteStore::open_with(path.as_ref(), self).await
    }
}
