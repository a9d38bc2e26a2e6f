//! Read-only connections.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::Error;
use tokio::sync::Semaphore;

use crate::blocking::blocking;
use crate::error::{closed, from_sqlite};
use crate::open_file::OpenFile;
use crate::{Connection, connect, writer};

/// The most readers at a time.
const MAX_READERS: u32 = 4;

/// A few connections, opened on demand.
pub(crate) struct Readers {
    pool: Arc<Pool>,
    permits: Arc<Semaphore>,
}

struct Pool {
    path: PathBuf,
    file: Arc<OpenFile>,
    idle: Mutex<Vec<Reader>>,
}

struct Reader {
    conn: rusqlite::Connection,
    user: Arc<AtomicBool>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf, file: Arc<OpenFile>) -> Self {
        let pool = Arc::new(Pool { path, file, idle: Mutex::new(Vec::new()) });
        Self { pool, permits: Arc::new(Semaphore::new(MAX_READERS as usize)) }
    }

    /// Runs engine queries.
    pub(crate) async fn query<R: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.run(|reader| work(&reader.conn)).await
    }

    /// Runs a user's queries in one snapshot.
    pub(crate) async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Error> {
        self.run(|reader| {
            reader.conn.execute_batch("BEGIN").map_err(from_sqlite)?;
            reader.user.store(true, Ordering::Relaxed);
            let result = work(&Connection(&reader.conn));
            reader.user.store(false, Ordering::Relaxed);
            reader.conn.execute_batch("ROLLBACK").map_err(from_sqlite)?;
            result.map_err(from_sqlite)
        })
        .await
    }

    async fn run<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Reader) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| closed())?;
        let pool = Arc::clone(&self.pool);
        blocking(move || {
            // Returned last, also after a panic: `close` requires that no connection is in use when it has all permits.
            let _permit = permit;
            pool.file.check()?;
            let reader = pool.take()?;
            let result = work(&reader);
            pool.put(reader);
            result
        })
        .await
    }

    /// Waits for running reads, and closes the connections.
    pub(crate) async fn close(&self) {
        if let Ok(all) = self.permits.acquire_many(MAX_READERS).await {
            all.forget();
        }
        self.permits.close();
        self.pool.lock().clear();
    }
}

impl Pool {
    fn take(&self) -> Result<Reader, Error> {
        let idle = self.lock().pop();
        match idle {
            Some(reader) => Ok(reader),
            None => Reader::open(&self.path),
        }
    }

    fn put(&self, reader: Reader) {
        // A connection still inside a transaction would show its old snapshot to the next caller.
        if reader.conn.is_autocommit() {
            self.lock().push(reader);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Reader>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self, Error> {
        let conn = connect::reader(path)?;
        let user = writer::refuse_control_statements(&conn).map_err(from_sqlite)?;
        Ok(Self { conn, user })
    }
}

impl fmt::Debug for Readers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readers").field("path", &self.pool.path).finish_non_exhaustive()
    }
}
