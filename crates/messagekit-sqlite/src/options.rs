//! Options of an opened file.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use crate::FileSystem;

/// How a commit reaches the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Each commit is synced before it returns: it survives a power failure.
    #[default]
    Full,
    /// Only checkpoints are synced: a commit survives a crash of the process, and a power failure may lose the last ones.
    Normal,
}

/// Settings of a [`SqliteStore`](crate::SqliteStore).
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open` is called"]
pub struct SqliteOptions {
    pub(crate) synchronous: Synchronous,
    pub(crate) partitions: NonZeroU32,
    pub(crate) transaction_timeout: Duration,
    pub(crate) busy_timeout: Duration,
    pub(crate) leaving: Vec<String>,
    pub(crate) staying: Vec<String>,
    pub(crate) file_system_of: fn(&Path) -> FileSystem,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            partitions: const { NonZeroU32::new(8).expect("eight is not zero") },
            // Far above what a transaction needs: a loaded machine may leave a program without a core for some 100 ms.
            transaction_timeout: Duration::from_secs(1),
            busy_timeout: Duration::from_secs(5),
            leaving: Vec::new(),
            staying: Vec::new(),
            file_system_of: FileSystem::of,
        }
    }
}

impl SqliteOptions {
    /// Sets how a commit reaches the disk; [`Synchronous::Full`] by default.
    pub fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets how many partitions a topic gets when its creator does not say; 8 by default.
    ///
    /// An existing topic keeps its number.
    pub fn partitions(mut self, partitions: NonZeroU32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets how long a transaction may hold the write lock before it is rolled back; 1 s by default.
    ///
    /// No other task or process can write meanwhile.
    pub fn transaction_timeout(mut self, bound: Duration) -> Self {
        self.transaction_timeout = bound;
        self
    }

    /// Sets how long to wait for another process that writes to the file; 5 s by default.
    pub fn busy_timeout(mut self, limit: Duration) -> Self {
        self.busy_timeout = limit;
        self
    }

    /// Sets how the kind of a file's file system is found; by default the system is asked. A file on a network file system is refused.
    ///
    /// A program that knows better, because one machine alone uses a share and its locks work there, answers [`FileSystem::Local`].
    pub fn file_system_by(mut self, find: fn(&Path) -> FileSystem) -> Self {
        self.file_system_of = find;
        self
    }

    /// Adds topics that leave the file: a relay publishes all records appended to them from now on, by any program. None
    /// by default.
    ///
    /// The file stores the setting, so other programs that write to it need not repeat it. Such a topic stays a topic of
    /// the file too, with its records and consumers. Earlier records are not published; use a replay to publish them.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use messagekit::relay::Relay;
    /// use messagekit::Shutdown;
    /// use messagekit::adapter::Publisher;
    /// use messagekit_sqlite::SqliteStore;
    ///
    /// # let kafka: Arc<dyn Publisher> = unimplemented!();
    /// let store = SqliteStore::options().relayed_topics(["orders.order"]).open("shop.db").await?;
    /// let relay = Relay::builder("shop").reader(Arc::new(store)).to(kafka).build()?;
    /// relay.run(Shutdown::on_signal()?).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn relayed_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.leaving.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Reverts [`relayed_topics`](Self::relayed_topics) of this or an earlier opening. Records that already wait for a
    /// relay are still published.
    pub fn local_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.staying.extend(topics.into_iter().map(Into::into));
        self
    }
}
