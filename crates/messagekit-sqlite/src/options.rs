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
    pub(crate) transaction_timeout: Duration,
    pub(crate) busy_timeout: Duration,
    pub(crate) leaving: Vec<String>,
    pub(crate) staying: Vec<String>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            partitions: const { NonZeroU32::new(8).expect("eight is not zero") },
            transaction_timeout: Duration::from_millis(250),
            busy_timeout: Duration::from_secs(5),
            leaving: Vec::new(),
            staying: Vec::new(),
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
    pub fn transaction_timeout(mut self, bound: Duration) -> Self {
        self.transaction_timeout = bound;
        self
    }

    /// Chooses how long to wait for another process that writes to the file; 5 s by default.
    pub fn busy_timeout(mut self, limit: Duration) -> Self {
        self.busy_timeout = limit;
        self
    }

    /// Names topics that leave the file: from now on a relay publishes what is appended to them, by whomever. None by default.
    ///
    /// The file remembers it, so whoever else writes to it need not say it. Such a topic stays a topic of the file too, with
    /// its records and consumers. What stood in it before is not published: replay it if it should be.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::sync::Arc;
    /// use messagekit::relay::Relay;
    /// use messagekit::{Publisher, Shutdown};
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

    /// Takes back what [`leaving`](Self::leaving) said, at this or an earlier opening. What waits for a relay already is still
    /// published.
    pub fn local_topics<T: Into<String>>(mut self, topics: impl IntoIterator<Item = T>) -> Self {
        self.staying.extend(topics.into_iter().map(Into::into));
        self
    }

    /// Opens the file, makes it if it is not there, and brings its tables up to date.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`InvalidEvent`](messagekit::ErrorKind::InvalidEvent) for a name that no topic can have, and
    /// [`InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a topic that is to leave and to stay.
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        SqliteStore::open_with(path.as_ref(), self).await
    }
}
