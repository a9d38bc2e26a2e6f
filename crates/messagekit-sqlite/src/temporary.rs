//! Stores on files that are removed with them.

use std::num::NonZeroU32;

use messagekit::ErrorKind;

use crate::temporary_folder::TemporaryFolder;
use crate::{Error, SqliteStore, Synchronous};

impl SqliteStore {
    /// Opens a store on a new file in the system's folder for temporary files, with the engine's tables. The file is removed with the
    /// last handle of the store: for tests, which then run side by side and leave nothing behind.
    ///
    /// It is a file and not a database in memory, so readers, writers and locks are those of a real store. A commit is not synced to the
    /// disk ([`Synchronous::Normal`]).
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the folder cannot be made; otherwise as [`open`](Self::open).
    ///
    /// # Cancel safety
    /// A dropped call leaves no file behind.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// use messagekit::Store;
    /// use messagekit_sqlite::SqliteStore;
    ///
    /// let store = SqliteStore::temporary().await?;
    /// let mut tx = store.begin().await?;
    /// tx.call(|c| c.execute_batch("CREATE TABLE orders (id TEXT PRIMARY KEY) STRICT")).await?;
    /// store.commit(tx).await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn temporary() -> Result<Self, Error> {
        let folder = TemporaryFolder::create().map_err(|error| {
            let text = "temporary folder cannot be made";
            let folder = std::env::temp_dir();
            messagekit::Error::new(ErrorKind::Unavailable, text)
                .with("folder", folder.display())
                .caused_by(error)
        })?;
        let path = folder.file();
        // One partition, so that events are read back in the order in which they were written.
        let options = Self::options().partitions(NonZeroU32::MIN);
        options.synchronous(Synchronous::Normal).open_in(&path, Some(folder)).await
    }
}
