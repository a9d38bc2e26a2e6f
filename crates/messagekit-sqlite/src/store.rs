//! The file as a store.

use std::error::Error as StdError;
use std::fmt;
use std::num::NonZeroU32;
use std::panic::resume_unwind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use messagekit::adapter::{TransactError, Wake, Work, in_transaction};
use messagekit::{Error, ErrorKind, HandlerError, Store};
use messagekit_topic_store::{ClaimHolder, ClaimTurns};
use tokio::sync::{oneshot, watch};

use crate::binding::Bindings;
use crate::blocking::blocking;
use crate::commit_watch::SqliteCommits;
use crate::error::{classify, closed};
use crate::open_file::OpenFile;
use crate::shared::Shared;
use crate::tables::append::Appended;
use crate::writer::{self, Request};
use crate::{Connection, SqliteOptions, SqliteTx, backup, connect, transact};

/// A SQLite file with the engine's tables, and yours beside them.
///
/// A clone is another handle. Writes go through one thread. It commits one-shot writes of all tasks together, and an open
/// [`SqliteTx`] has the writer to itself. Several processes may share the file; do not put it on a network file system.
///
/// Dropping the last handle closes the file in the background; [`close`](Self::close) waits for it.
#[derive(Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

impl SqliteStore {
    /// Opens a file with default options, creates it if it is missing, and migrates its tables.
    ///
    /// # Errors
    /// [`ErrorKind::Schema`] when the tables are newer than this program; [`ErrorKind::Corrupt`] when the file is not a
    /// database; [`ErrorKind::Unavailable`] when it cannot be opened or written, for example because its folder does not
    /// exist; [`ErrorKind::InvalidConfiguration`] for a database in memory. A refused file is not changed.
    ///
    /// # Cancel safety
    /// A dropped call leaves the file closed; its tables may be migrated or not.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, crate::Error> {
        Self::options().open(path).await
    }

    /// Returns the default options; change them before opening.
    pub fn options() -> SqliteOptions {
        SqliteOptions::default()
    }

    pub(crate) fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Runs `work` in a transaction and commits it: rows of your own, and changes of tables. If `work` fails, nothing of it remains.
    /// With events it is [`Outbox::transaction`](messagekit::Outbox::transaction).
    ///
    /// In `work`, `?` takes the errors of the database, of messagekit and your own.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
    /// # use messagekit_sqlite::SqliteStore;
    /// let store = SqliteStore::temporary().await?;
    /// store.transaction(async |tx| {
    ///     tx.call(|c| c.execute_batch("CREATE TABLE orders (id TEXT PRIMARY KEY, pence INTEGER)")).await?;
    ///     let pence: i64 = "1250".parse()?;
    ///     tx.call(move |c| c.execute("INSERT INTO orders VALUES ('o-1', ?1)", [pence])).await?;
    ///     Ok(())
    /// }).await?;
    /// let orders = store.read(|c| c.query_row("SELECT count(*) FROM orders", (), |row| row.get::<_, i64>(0)));
    /// assert_eq!(orders.await?, 1);
    /// # Ok::<(), messagekit::Error>(()) }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The error of `work`, or that of [`begin`](Store::begin) or [`commit`](Store::commit). An error of your own is found by
    /// [`Error::cause`](messagekit::Error::cause), and one of the database has its kind. What a constructor
    /// of [`HandlerError`](messagekit::HandlerError) says is not kept, but for `unavailable`: [`ErrorKind::Unavailable`].
    ///
    /// # Cancel safety
    /// A drop rolls back what is not committed. A drop during the commit leaves its outcome unknown.
    pub async fn transaction<R, F>(&self, work: F) -> Result<R, messagekit::Error>
    where
        F: AsyncFnOnce(&mut SqliteTx) -> Result<R, HandlerError>,
    {
        in_transaction(self, work).await
    }

    /// Runs queries of your own on a read-only connection, away from the threads that run tasks.
    ///
    /// The closure sees one snapshot, taken at its first statement: the commits before it and none after. At most four
    /// run at a time. Keep them short, because the log of the file cannot shrink below the oldest snapshot.
    ///
    /// # Errors
    /// SQLite's error as the source, also for a write; [`ErrorKind::Closed`] after [`close`](Self::close).
    ///
    /// # Panics
    /// When the closure panics, and outside a tokio runtime.
    pub async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, crate::Error> {
        self.shared.check_open()?;
        Ok(self.shared.readers.read(work).await?)
    }

    /// Finishes the waiting writes, copies the log into the file, unless another program works on it at this moment, and closes it.
    ///
    /// Other handles fail with [`ErrorKind::Closed`] from then on. When this is the last process that has the file open,
    /// a single file remains. An open transaction may continue until its timeout.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] when another handle closed it; [`ErrorKind::WouldDeadlock`] while the calling task holds a
    /// transaction, and nothing is closed then; SQLite's error when the log could not be copied: all commits are durable
    /// all the same.
    ///
    /// # Cancel safety
    /// A dropped call may leave new work refused and the file open until the last handle is dropped.
    pub async fn close(self) -> Result<(), crate::Error> {
        self.shared.check_thread()?;
        self.shared.holders.check()?;
        if self.shared.closed.swap(true, Ordering::AcqRel) {
            return Err(closed().into());
        }
        self.shared.claim_holder.end();
        self.shared.foreign.close();
        // A reader that closes after the writer would leave the log behind.
        self.shared.readers.close().await;
        let (answer, answered) = oneshot::channel();
        self.shared.writer.requests.send(Request::Close(answer)).map_err(|_| closed())?;
        Ok(answered.await.map_err(|_| closed())??)
    }

    /// Writes a copy of the file as of now, while others go on writing. The copy is one file, compact and on the disk when this
    /// returns.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`] if there is a file at the path already. SQLite's error when the copy cannot be written: what there is
    /// of it was removed.
    ///
    /// # Cancel safety
    /// A dropped call may leave a part of the copy behind.
    pub async fn backup(&self, path: impl AsRef<Path>) -> Result<(), crate::Error> {
        self.shared.check_open()?;
        self.shared.file.check()?;
        let (from, to) = (self.shared.path.clone(), connect::absolute(path.as_ref())?);
        Ok(blocking(move || backup::copy(&from, &to)).await?)
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Returns how many transactions this process has committed since it opened the file; writes that were committed
    /// together count once.
    pub fn commit_count(&self) -> u64 {
        *self.shared.writer.commits.borrow()
    }

    /// Fails when the file was closed.
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        self.shared.check_open()
    }

    /// Returns the default number of partitions of a new topic.
    pub(crate) fn partitions(&self) -> NonZeroU32 {
        self.shared.partitions
    }

    /// Returns the waker of this process's relays.
    pub(crate) fn news(&self) -> &Wake {
        &self.shared.news
    }

    /// Wakes the relays of this process if the commit holds records for them.
    pub(crate) fn tell(&self, appended: &Appended) {
        if appended.leaves {
            self.shared.news.wake();
        }
    }

    /// Begins to watch for commits of any process.
    pub(crate) fn watch(&self) -> Result<SqliteCommits, Error> {
        self.shared.check_open()?;
        let file = self.file();
        let foreign = self.shared.foreign.watch(&self.shared.path, &file)?;
        Ok(SqliteCommits::new(self.commits(), file, foreign))
    }

    /// Returns the holder of the record claims of this handle and its clones.
    pub(crate) fn holder(&self) -> Result<ClaimHolder, Error> {
        self.shared.check_open()?;
        self.shared.claim_holder.get(&self.shared.path)
    }

    /// Returns where claims wait for each other. A task of its own serves them, which could not know that the caller's holds a
    /// transaction.
    pub(crate) fn turns(&self) -> Result<&ClaimTurns, Error> {
        self.shared.check_write()?;
        Ok(&self.shared.claim_turns)
    }

    /// Returns the cursors of the consumers that a subscriber of this store works for.
    pub(crate) fn bindings(&self) -> &Bindings {
        &self.shared.bindings
    }

    /// Writes in one commit with other waiting jobs. The work may run twice: ids and times come from outside.
    ///
    /// Dropping the future does not stop the work.
    pub(crate) async fn job<R: Send + 'static>(
        &self,
        work: impl FnMut(&rusqlite::Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.shared.check_write()?;
        let (answer, answered) = oneshot::channel();
        self.shared.request(Request::Job(writer::job(work, answer)))?;
        match answered.await {
            Ok(answer) => answer.unwrap_or_else(|panic| resume_unwind(panic)),
            Err(_) => Err(self.shared.gone()),
        }
    }

    /// Runs the engine's own queries on a reader.
    pub(crate) async fn query<R: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.shared.check_open()?;
        self.shared.readers.query(work).await
    }

    /// Returns a number that grows with each commit of this process. Its sender is dropped when the file is closed.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.shared.writer.commits.clone()
    }

    /// Returns the file that the path named when it was opened.
    pub(crate) fn file(&self) -> Arc<OpenFile> {
        Arc::clone(&self.shared.file)
    }

    /// Opens a reader for a thread that keeps it. The thread must drop it when [`commits`](Self::commits) signals that
    /// the file is closed.
    pub(crate) fn open_reader(&self) -> Result<rusqlite::Connection, Error> {
        self.shared.check_open()?;
        self.shared.file.check()?;
        connect::reader(&self.shared.path)
    }
}

impl Store for SqliteStore {
    type Tx = SqliteTx;

    fn transaction_timeout(&self) -> Option<Duration> {
        Some(self.shared.transaction_timeout)
    }

    /// Creates a transaction that takes the write lock at its first call, and waits there for its turn.
    async fn begin(&self) -> Result<SqliteTx, Error> {
        self.shared.check_write()?;
        Ok(SqliteTx::lazy(Arc::clone(&self.shared)))
    }

    async fn commit(&self, tx: SqliteTx) -> Result<(), Error> {
        tx.check_belongs_to(&self.shared)?;
        tx.commit().await
    }

    async fn rollback(&self, tx: SqliteTx) -> Result<(), Error> {
        tx.check_belongs_to(&self.shared)?;
        tx.rollback().await
    }

    /// Runs the work on the writer thread, where each call of its transaction is a plain function call.
    ///
    /// The transaction has begun when the work starts. Work that still runs at the transaction timeout is dropped. It
    /// sees the caller's runtime, span and subscriber, but not the caller's task-locals.
    async fn transact<R: Send + 'static>(&self, work: Work<SqliteTx, R>) -> Result<R, TransactError> {
        self.shared.check_write().map_err(TransactError::Begin)?;
        let (tx, mut turn) = SqliteTx::of_batch(Arc::clone(&self.shared));
        let (answer, answered) = oneshot::channel();
        turn.batch = Some(transact::batch(work, tx, answer));
        self.shared.request(Request::Turn(turn)).map_err(TransactError::Begin)?;
        let mut waiting = Waiting { answered, shared: &self.shared };
        match (&mut waiting.answered).await {
            Ok(answer) => answer.unwrap_or_else(|panic| resume_unwind(panic)),
            // A closed writer has finished all requests that it had taken.
            Err(_) if self.shared.is_closed() => Err(TransactError::Begin(closed())),
            Err(_) => Err(TransactError::Unknown(self.shared.gone())),
        }
    }

    fn classify(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
        classify(error)
    }
}

/// Wakes the writer when the caller of a batch drops its future.
struct Waiting<'a, R> {
    answered: oneshot::Receiver<transact::Answer<R>>,
    shared: &'a Shared,
}

impl<R> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        // A finished batch has left the writer, which may then be parked for another caller.
        if !self.answered.is_terminated() {
            self.answered.close();
            self.shared.wake_writer();
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.shared.path).finish_non_exhaustive()
    }
}
