//! Writing a store: the least that a consumer needs of a database.
//!
//! This is a whole store over one SQLite file, with markers and positions alone, in seven methods. `suite.rs` beside it runs the
//! suite over it, and the page `docs/writing-a-store.md` says what each further duty adds.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::adapter::{Absent, ClaimRequest, Inbox, Markers, NextOffset, Positions};
use messagekit::{Claim, Error, ErrorKind, Store};
use rusqlite::ffi::SQLITE_CONSTRAINT_COMMITHOOK;
use rusqlite::{Connection, ErrorCode, params};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// A marker has its generation in its key, so the claim of a later one leaves the earlier one as it was.
const TABLES: &str = "
    PRAGMA synchronous = FULL;
    CREATE TABLE IF NOT EXISTS markers (
        consumer TEXT, id TEXT, generation INTEGER, PRIMARY KEY (consumer, id, generation)) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS positions (
        consumer TEXT, topic TEXT, partition INTEGER, key_lane INTEGER, next INTEGER,
        PRIMARY KEY (consumer, topic, partition, key_lane)) STRICT, WITHOUT ROWID;";

/// The connection to a file, and whether a statement on it may commit.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) connection: Connection,
    may_commit: Arc<AtomicBool>,
}

/// A store with one connection, so one transaction is open at a time. A clone shares it. A task that has the transaction must not wait for
/// another one: a handler uses its transaction and nothing else of the store.
#[derive(Clone, Debug)]
pub(crate) struct SmallStore(pub(crate) Arc<Mutex<File>>);

/// The connection while a transaction is open on it.
#[derive(Debug)]
pub(crate) struct SmallTx(OwnedMutexGuard<File>);

impl SmallTx {
    pub(crate) fn connection(&self) -> &Connection {
        &self.0.connection
    }

    /// A full disk and `OR ROLLBACK` end a transaction.
    fn open(&self) -> Result<&Connection, Error> {
        if self.0.connection.is_autocommit() {
            return Err(Error::new(ErrorKind::Aborted, "the transaction has already ended"));
        }
        Ok(&self.0.connection)
    }
}

impl Drop for SmallTx {
    fn drop(&mut self) {
        if !self.0.connection.is_autocommit() {
            // Closing the file rolls back, too.
            let _ = self.0.connection.execute_batch("ROLLBACK");
        }
        self.0.may_commit.store(true, Ordering::Relaxed);
    }
}

/// The kind decides what a consumer does: it waits for an unavailable database, and runs again after a conflict.
pub(crate) fn failed(error: rusqlite::Error) -> Error {
    let code = error.sqlite_error().map(|error| (error.code, error.extended_code));
    let kind = match code {
        Some((_, SQLITE_CONSTRAINT_COMMITHOOK)) => ErrorKind::Aborted,
        Some((ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _)) => ErrorKind::Conflict,
        Some((ErrorCode::CannotOpen | ErrorCode::DiskFull | ErrorCode::SystemIoFailure, _)) => {
            ErrorKind::Unavailable
        }
        _ => ErrorKind::Other,
    };
    Error::new(kind, "a statement of the store failed").caused_by(error)
}

impl SmallStore {
    /// Opens a file and makes its tables.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let connection = Connection::open(path).map_err(failed)?;
        connection.execute_batch(TABLES).map_err(failed)?;
        // If a statement of a handler ends the transaction and the handler continues, its next statement would commit alone.
        let may_commit = Arc::new(AtomicBool::new(true));
        let hook = Arc::clone(&may_commit);
        connection.commit_hook(Some(move || !hook.load(Ordering::Relaxed))).map_err(failed)?;
        Ok(Self(Arc::new(Mutex::new(File { connection, may_commit }))))
    }
}

impl Store for SmallStore {
    type Tx = SmallTx;

    async fn begin(&self) -> Result<SmallTx, Error> {
        let tx = SmallTx(Arc::clone(&self.0).lock_owned().await);
        tx.connection().execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
        tx.0.may_commit.store(false, Ordering::Relaxed);
        Ok(tx)
    }

    async fn commit(&self, tx: SmallTx) -> Result<(), Error> {
        let connection = tx.open()?;
        tx.0.may_commit.store(true, Ordering::Relaxed);
        connection.execute_batch("COMMIT").map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::SystemIoFailure) => {
                Error::new(ErrorKind::OutcomeUnknown, "the file failed during the commit").caused_by(error)
            }
            _ => failed(error),
        })
    }

    async fn rollback(&self, tx: SmallTx) -> Result<(), Error> {
        drop(tx);
        Ok(())
    }
}

impl Markers for SmallStore {
    /// A server gets all requests in one statement. Here a statement costs no round trip.
    async fn claim(
        &self,
        tx: &mut SmallTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        let text = "INSERT INTO markers SELECT ?1, ?2, ?3 WHERE NOT EXISTS (
            SELECT 1 FROM markers WHERE consumer = ?1 AND id = ?2 AND generation >= ?3)";
        let mut claims = tx.connection().prepare_cached(text).map_err(failed)?;
        let mut claim = |request: &ClaimRequest| match claims.execute(params![
            consumer,
            request.id.as_str(),
            request.generation
        ]) {
            Ok(0) => Ok(Claim::Done),
            Ok(_) => Ok(Claim::Fresh),
            Err(error) => Err(failed(error)),
        };
        requests.iter().map(&mut claim).collect()
    }

    async fn unclaim(
        &self,
        tx: &mut SmallTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<(), Error> {
        let text = "DELETE FROM markers WHERE consumer = ?1 AND id = ?2 AND generation = ?3";
        let mut unclaim = tx.connection().prepare_cached(text).map_err(failed)?;
        for request in requests {
            unclaim.execute(params![consumer, request.id.as_str(), request.generation]).map_err(failed)?;
        }
        Ok(())
    }
}

impl Positions for SmallStore {
    async fn advance(&self, tx: &mut SmallTx, consumer: &str, positions: &[NextOffset]) -> Result<(), Error> {
        let text = "INSERT INTO positions VALUES (?1, ?2, ?3, ?4, ?5)
            ON CONFLICT DO UPDATE SET next = max(next, excluded.next)";
        let mut advance = tx.open()?.prepare_cached(text).map_err(failed)?;
        for at in positions {
            advance
                .execute(params![consumer, &*at.topic, at.partition, at.key_lane, at.next])
                .map_err(failed)?;
        }
        Ok(())
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        let file = self.0.lock().await;
        let text = "SELECT partition, key_lane, next FROM positions WHERE consumer = ?1 AND topic = ?2";
        let mut positions = file.connection.prepare_cached(text).map_err(failed)?;
        let rows = positions.query_map(params![consumer, topic], |row| {
            let (partition, key_lane, next) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(NextOffset { topic: topic.into(), partition, key_lane, next })
        });
        rows.map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
    }
}

/// Failed messages, retries, attempts and primings are duties for later.
impl Inbox for SmallStore {
    type FailedMessages = Absent;
    type Retries = Absent;
    type Attempts = Absent;
    type Primings = Absent;
}
