//! The topics of a database.

use std::fmt;
use std::sync::Arc;

use messagekit::log::TopicStore;
use serde_json::Value;

use crate::TopicBuilder;
use crate::kept::Kept;

/// The topics of a database. A clone is another handle.
#[derive(Clone)]
pub struct Topics<S> {
    store: S,
    file: Option<Kept>,
}

impl<S: TopicStore> Topics<S> {
    /// Returns the topics of a store that is open already, to share its file and its transactions.
    pub fn of(store: S) -> Self {
        Self { store, file: None }
    }

    /// Returns the store, for transactions that write rows and records together.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Names a topic whose records are values of a type. The builder's [`open`](TopicBuilder::open) opens or makes it.
    pub fn topic<T>(&self, name: impl Into<Arc<str>>) -> TopicBuilder<T, S> {
        TopicBuilder::new(self.store.clone(), self.file.clone(), name.into(), true)
    }

    /// Names a topic whose records are any JSON objects. A topic with a schema can be read this way, too.
    pub fn untyped(&self, name: impl Into<Arc<str>>) -> TopicBuilder<Value, S> {
        TopicBuilder::new(self.store.clone(), self.file.clone(), name.into(), false)
    }
}

#[cfg(feature = "sqlite")]
impl Topics<messagekit_sqlite::SqliteStore> {
    /// Opens the topics of a SQLite file, and makes the file if it is missing. Several processes may open it.
    ///
    /// `:memory:` opens topics that end with the last handle: a file in the folder for temporary files, whose commits are not flushed.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](messagekit_sqlite::SqliteStore::open).
    pub async fn open(path: impl AsRef<std::path::Path>) -> Result<Self, crate::Error> {
        use messagekit_sqlite::{SqliteStore, Synchronous};

        if path.as_ref() != std::path::Path::new(":memory:") {
            return Ok(Self::of(SqliteStore::open(path).await?));
        }
        let folder = tempfile::Builder::new().prefix("messagekit-").tempdir().map_err(|error| {
            let text = "no folder for topics that end with the program";
            messagekit::Error::new(messagekit::ErrorKind::Unavailable, text).caused_by(error)
        })?;
        let options = SqliteStore::options().synchronous(Synchronous::Normal);
        let store = options.open(folder.path().join("topics.db")).await?;
        Ok(Self { store, file: Some(Arc::new(folder)) })
    }

    /// Writes a copy of the file as of now, while others go on writing.
    ///
    /// # Errors
    /// As [`SqliteStore::backup`](messagekit_sqlite::SqliteStore::backup).
    pub async fn backup(&self, path: impl AsRef<std::path::Path>) -> Result<(), crate::Error> {
        Ok(self.store.backup(path).await?)
    }

    /// Finishes what is waiting and closes the file; a single file is left when no other process has it open.
    ///
    /// # Errors
    /// As [`SqliteStore::close`](messagekit_sqlite::SqliteStore::close).
    pub async fn close(self) -> Result<(), crate::Error> {
        Ok(self.store.close().await?)
    }
}

impl<S: fmt::Debug> fmt::Debug for Topics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("store", &self.store).finish()
    }
}
