//! Opens a store with its options.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use messagekit::ErrorKind;
use messagekit::adapter::{Wake, check_topic};
use messagekit_topic_store::ClaimTurns;

use crate::binding::Bindings;
use crate::claim_holder::FileHolder;
use crate::error::from_sqlite;
use crate::foreign_commits::ForeignCommits;
use crate::holder::Holders;
use crate::open_file::OpenFile;
use crate::reader::Readers;
use crate::shared::Shared;
use crate::tables::{now, retries, topics};
use crate::temporary_folder::TemporaryFolder;
use crate::{Error, SqliteOptions, SqliteStore, connect, writer};

impl SqliteOptions {
    /// Opens the file, creates it if it is missing, and migrates its tables.
    ///
    /// # Errors
    /// As [`SqliteStore::open`]; [`InvalidEvent`](messagekit::ErrorKind::InvalidEvent) for a name that no topic can have,
    /// and [`InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a topic that is both relayed and
    /// local, and for a file on a [network file system](Self::file_system_by).
    pub async fn open(self, path: impl AsRef<Path>) -> Result<SqliteStore, Error> {
        self.open_in(path.as_ref(), None).await
    }

    /// Opens a file that goes with its folder, if it is temporary.
    pub(crate) async fn open_in(
        self,
        path: &Path,
        folder: Option<TemporaryFolder>,
    ) -> Result<SqliteStore, Error> {
        let path = connect::absolute(path)?;
        let (partitions, transaction_timeout, news) =
            (self.partitions, self.transaction_timeout, Wake::default());
        let (target, synchronous) = (path.clone(), self.synchronous);
        let (leaving, staying) = (self.leaving.clone(), self.staying.clone());
        check_ways(&leaving, &staying)?;
        (self.file_system_of)(&path).check(&path)?;
        let writer = writer::start(move || connect::writer(&target, synchronous), self, news.clone()).await?;
        let file = Arc::new(OpenFile::at(&path));
        let readers = Readers::new(path.clone(), Arc::clone(&file));
        let shared = Shared {
            path,
            file,
            partitions,
            transaction_timeout,
            writer,
            readers,
            closed: AtomicBool::new(false),
            holders: Holders::default(),
            bindings: Bindings::default(),
            claim_holder: FileHolder::default(),
            claim_turns: ClaimTurns::default(),
            foreign: ForeignCommits::default(),
            news,
            _folder: folder,
        };
        let store = SqliteStore::new(shared);
        if !leaving.is_empty() || !staying.is_empty() {
            let declare = move |conn: &rusqlite::Connection| {
                topics::declare(conn, &leaving, true).map_err(from_sqlite)?;
                topics::declare(conn, &staying, false).map_err(from_sqlite)
            };
            store.job(declare).await?;
        }
        let look = |conn: &rusqlite::Connection| retries::any_later_lease(conn, now()).map_err(from_sqlite);
        if store.query(look).await? {
            store.job(|conn| retries::end_later_leases(conn, now()).map_err(from_sqlite)).await?;
        }
        Ok(store)
    }
}

/// Checks the names of relayed and local topics.
fn check_ways(leaving: &[String], staying: &[String]) -> Result<(), messagekit::Error> {
    leaving.iter().chain(staying).try_for_each(|topic| check_topic(topic))?;
    match leaving.iter().find(|topic| staying.contains(topic)) {
        None => Ok(()),
        Some(topic) => {
            let text = "topic is to leave the file and to stay: say one of the two";
            Err(messagekit::Error::new(ErrorKind::InvalidConfiguration, text).with("topic", topic))
        }
    }
}
