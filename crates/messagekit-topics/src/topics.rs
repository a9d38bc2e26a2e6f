//! The topics of a database.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "sqlite")]
use messagekit_sqlite::{SqliteStore, Synchronous};
use messagekit_topic_store::{TopicDefinition, TopicStore};
use serde_json::Value;

use crate::declared::Declared;
use crate::observer::TopicEvent;
use crate::shared::Shared;
use crate::{Error, TopicBuilder};

/// How long a transaction may keep other programs from writing: below the time for which they wait by default. A record may have many
/// outputs, and no function of the user runs meanwhile.
#[cfg(feature = "sqlite")]
const LONGEST: std::time::Duration = std::time::Duration::from_secs(3);

/// The topics of a database. A clone is another handle.
#[derive(Clone)]
pub struct Topics<S> {
    shared: Shared<S>,
}

impl<S: TopicStore> Topics<S> {
    /// Returns the topics of a store that is open already, to share its file and its transactions.
    pub fn of(store: S) -> Self {
        Self { shared: Shared::of(store) }
    }

    /// Returns the store, for transactions that write rows and records together.
    pub fn store(&self) -> &S {
        &self.shared.store
    }

    pub(crate) fn shared(&self) -> &Shared<S> {
        &self.shared
    }

    /// Names a topic whose records are values of a type. The builder's [`open`](TopicBuilder::open) opens or makes it.
    pub fn topic<T>(&self, name: impl Into<Arc<str>>) -> TopicBuilder<T, S> {
        TopicBuilder::new(self.shared.clone(), name.into(), Declared::ByType)
    }

    /// Names a topic whose records are any JSON objects. A topic with a schema can be used this way, too: it keeps its rules, and what is
    /// appended is checked against its schema.
    pub fn untyped(&self, name: impl Into<Arc<str>>) -> TopicBuilder<Value, S> {
        TopicBuilder::new(self.shared.clone(), name.into(), Declared::Nothing)
    }

    /// Names a topic of JSON objects with this JSON Schema, for a program whose types are not Rust's. It says what the topic holds: as
    /// with a type, the program appends only what fits.
    pub fn described(&self, name: impl Into<Arc<str>>, schema: Value) -> TopicBuilder<Value, S> {
        TopicBuilder::new(self.shared.clone(), name.into(), Declared::As(schema))
    }

    /// Returns what the topics of the database were made with, sorted by name.
    ///
    /// # Errors
    /// A transient error if the file is busy: retry.
    pub async fn definitions(&self) -> Result<Vec<TopicDefinition>, Error> {
        Ok(self.shared.store.topic_definitions().await?)
    }

    /// Returns what a topic was made with, or `None` if the database does not have it: nothing is made.
    ///
    /// # Errors
    /// As [`definitions`](Self::definitions).
    pub async fn definition(&self, name: impl Into<Arc<str>>) -> Result<Option<TopicDefinition>, Error> {
        Ok(self.shared.store.topic_definition(&name.into()).await?)
    }

    /// Opens a topic that exists, under the rules that it has.
    #[cfg(feature = "operations")]
    pub(crate) async fn existing(&self, name: &str) -> Result<crate::Topic<Value, S>, Error> {
        let Some(stored) = self.definition(name).await? else {
            let text = "there is no such topic: make it first";
            return Err(messagekit::Error::new(messagekit::ErrorKind::NotFound, text)
                .with("topic", name)
                .into());
        };
        // Not by a builder, which would make a topic again that is dropped meanwhile.
        Ok(crate::Topic::new(
            self.shared.clone(),
            crate::rules::Rules::of(stored),
            crate::topic::Checks::Schema,
        ))
    }

    /// Calls an observer for what this handle and its clones do to topics, each time after the commit. It must not block: a call for a
    /// transaction of the caller comes from the thread that writes. A panic is caught and logged.
    pub fn observe(&self, observer: impl Fn(&TopicEvent) + Send + Sync + 'static) {
        self.shared.observers.add(Arc::new(observer));
    }
}

#[cfg(feature = "sqlite")]
impl Topics<SqliteStore> {
    /// Opens the topics of a SQLite file, and makes the file if it is missing. Several processes may open it.
    ///
    /// `:memory:` opens topics that end with the last handle: a file in the folder for temporary files, whose commits are not flushed.
    ///
    /// # Errors
    /// As [`SqliteStore::open`](messagekit_sqlite::SqliteStore::open).
    pub async fn open(path: impl AsRef<std::path::Path>) -> Result<Self, crate::Error> {
        Self::open_with(path, Synchronous::Full).await
    }

    /// As [`open`](Self::open), with commits that do not wait for the disk: when the machine loses power, the last ones may be gone; when
    /// only the program dies, they are not.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_unflushed(path: impl AsRef<std::path::Path>) -> Result<Self, crate::Error> {
        Self::open_with(path, Synchronous::Normal).await
    }

    async fn open_with(
        path: impl AsRef<std::path::Path>,
        synchronous: Synchronous,
    ) -> Result<Self, crate::Error> {
        let options = SqliteStore::options().transaction_timeout(LONGEST).synchronous(synchronous);
        if path.as_ref() != std::path::Path::new(":memory:") {
            return Ok(Self::of(options.open(path).await?));
        }
        let folder = tempfile::Builder::new().prefix("messagekit-").tempdir().map_err(|error| {
            let text = "no folder for topics that end with the program";
            messagekit::Error::new(messagekit::ErrorKind::Unavailable, text).caused_by(error)
        })?;
        let store = options.synchronous(Synchronous::Normal).open(folder.path().join("topics.db")).await?;
        Ok(Self { shared: Shared::of(store).inside(folder) })
    }

    /// Writes a copy of the file as of now, while others go on writing.
    ///
    /// # Errors
    /// As [`SqliteStore::backup`](messagekit_sqlite::SqliteStore::backup).
    pub async fn backup(&self, path: impl AsRef<std::path::Path>) -> Result<(), crate::Error> {
        Ok(self.shared.store.backup(path).await?)
    }

    /// Finishes what is waiting and closes the file; a single file is left when no other process has it open.
    ///
    /// # Errors
    /// As [`SqliteStore::close`](messagekit_sqlite::SqliteStore::close).
    pub async fn close(self) -> Result<(), crate::Error> {
        Ok(self.shared.store.close().await?)
    }
}

impl<S: fmt::Debug> fmt::Debug for Topics<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("store", &self.shared.store).finish()
    }
}
