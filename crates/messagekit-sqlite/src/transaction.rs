//! An open transaction.

mod link;

use std::error::Error as StdError;
use std::fmt;
use std::mem;
use std::panic::resume_unwind;
use std::sync::Arc;

use messagekit::{ErrorKind, MessageId};
use tokio::sync::oneshot;

use crate::error::from_closure;
use crate::shared::Shared;
use crate::writer::{Access, Call, OnCommit, Session, Turn};
use crate::{Connection, Error};
use link::Link;

/// A transaction of a [`SqliteStore`](crate::SqliteStore). It is exclusive, because SQLite has one writer.
///
/// It takes the write lock at its first call and holds it for at most the store's transaction timeout, 1 s by default.
/// Then it is rolled back, and the next call fails with [`ErrorKind::TransactionTimeout`]. Dropping it rolls back at
/// once.
///
/// A failed statement does **not** end the transaction, unlike in PostgreSQL: swallow the error and a commit keeps the
/// rest. `OR ROLLBACK`, a full disk, a panic inside a closure, and dropping the future of an unfinished call do end it.
/// Every later call and the commit then fail with [`ErrorKind::Aborted`].
pub struct SqliteTx {
    shared: Arc<Shared>,
    state: State,
    on_commit: OnCommit,
    /// The claims of this transaction, by consumer, each with the generation of an earlier claim: only these may be
    /// unclaimed in it.
    pub(crate) claimed: Vec<(Arc<str>, MessageId, Option<i32>)>,
}

enum State {
    /// No call has been made, and no lock is held.
    Lazy,
    Open(Link),
    /// An unfinished call was dropped: its statements may have run.
    Dropped,
}

impl SqliteTx {
    pub(crate) fn lazy(shared: Arc<Shared>) -> Self {
        Self { shared, state: State::Lazy, on_commit: OnCommit::new(), claimed: Vec::new() }
    }

    /// Creates the transaction of `transact`, and the writer's end of it.
    pub(crate) fn of_batch(shared: Arc<Shared>) -> (Self, Turn) {
        let (link, turn) = Link::new(&shared);
        (Self { state: State::Open(link), ..Self::lazy(shared) }, turn)
    }

    /// Runs statements of your own inside the transaction.
    ///
    /// Returns what the closure returns. In a handler the closure runs inline, elsewhere on the writer thread.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let folder = tempfile::tempdir()?;
    /// use messagekit::Store;
    /// use messagekit_sqlite::SqliteStore;
    ///
    /// let store = SqliteStore::open(folder.path().join("app.db")).await?;
    /// let mut tx = store.begin().await?;
    /// tx.call(|c| c.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, state TEXT) STRICT")).await?;
    /// tx.call(|c| c.execute("INSERT INTO orders (state) VALUES (?1)", ["placed"])).await?;
    /// store.commit(tx).await?;
    ///
    /// let orders: i64 = store.read(|c| c.query_row("SELECT count(*) FROM orders", [], |row| row.get(0))).await?;
    /// assert_eq!(orders, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// SQLite's error as the source: [`ErrorKind::Other`] for a constraint or a mistake in a statement, after which the
    /// transaction continues; [`ErrorKind::TransactionTimeout`] and [`ErrorKind::Aborted`] when the transaction is over;
    /// [`ErrorKind::Conflict`] when another process kept the write lock for longer than the busy timeout;
    /// [`ErrorKind::WouldDeadlock`] when the task holds another transaction.
    ///
    /// # Panics
    /// When the closure panics; the transaction is rolled back.
    ///
    /// # Cancel safety
    /// A dropped call may have run: the transaction is over and rolls back.
    pub async fn call<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&Connection<'_>) -> rusqlite::Result<R> + Send + 'static,
    ) -> Result<R, Error> {
        self.try_call(work).await
    }

    /// Runs statements of your own in a closure that has its own error type.
    ///
    /// # Errors
    /// As [`call`](Self::call). An error of the closure is the source, and decides the kind if it or one of its causes
    /// comes from SQLite.
    ///
    /// # Panics
    /// When the closure panics; the transaction is rolled back.
    ///
    /// # Cancel safety
    /// As [`call`](Self::call).
    pub async fn try_call<R, E>(
        &mut self,
        work: impl FnOnce(&Connection<'_>) -> Result<R, E> + Send + 'static,
    ) -> Result<R, Error>
    where
        R: Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        let work = move |conn: &rusqlite::Connection| {
            work(&Connection(conn)).map_err(|error| from_closure(error.into()))
        };
        Ok(self.enter(Access::User, work).await?)
    }

    /// Runs the engine's own statements inside the transaction.
    pub(crate) async fn run<R: Send + 'static>(
        &mut self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<R, messagekit::Error> + Send + 'static,
    ) -> Result<R, messagekit::Error> {
        self.enter(Access::Engine, work).await
    }

    /// Stores a function to run after the commit; a rollback drops it.
    pub(crate) fn on_commit(&mut self, run: Box<dyn FnOnce() + Send>) {
        self.on_commit.push(run);
    }

    async fn enter<R: Send + 'static>(
        &mut self,
        access: Access,
        work: impl FnOnce(&rusqlite::Connection) -> Result<R, messagekit::Error> + Send + 'static,
    ) -> Result<R, messagekit::Error> {
        if let State::Open(link) = &self.state
            && let Some(session) = Session::current(link.id)
        {
            return session.run(access, work).unwrap_or_else(|panic| resume_unwind(panic));
        }
        // Dropping this future before its end leaves the transaction ended, and drops the link.
        let mut link = match mem::replace(&mut self.state, State::Dropped) {
            State::Open(link) => link,
            State::Dropped => return Err(dropped()),
            State::Lazy => match Link::open(&self.shared) {
                Ok(link) => link,
                Err(error) => {
                    self.state = State::Lazy;
                    return Err(error);
                }
            },
        };
        link.owner = link.owner.map(|owner| self.shared.holders.follow(owner, link.id));
        let (answer, answered) = oneshot::channel();
        let sent = link.send(Call::Run(Box::new(move |session| {
            if !answer.is_closed() {
                answer.send(session.run(access, work)).ok();
            }
        })));
        let outcome = if sent { answered.await.ok() } else { None };
        let outcome = outcome.unwrap_or_else(|| Ok(Err(link.reason())));
        self.state = State::Open(link);
        outcome.unwrap_or_else(|panic| resume_unwind(panic))
    }

    pub(crate) async fn commit(mut self) -> Result<(), messagekit::Error> {
        let on_commit = self.take_on_commit();
        let mut link = match mem::replace(&mut self.state, State::Dropped) {
            State::Open(link) => link,
            State::Dropped => return Err(dropped()),
            State::Lazy => {
                on_commit.into_iter().for_each(|run| run());
                return Ok(());
            }
        };
        let (answer, answered) = oneshot::channel();
        if !link.send(Call::Commit { on_commit, answer }) {
            return Err(link.reason());
        }
        let outcome = answered.await.unwrap_or_else(|_| Err(link.reason()));
        // Only now may other code see that the task holds no transaction.
        link.close();
        outcome
    }

    pub(crate) async fn rollback(mut self) -> Result<(), messagekit::Error> {
        if let State::Open(link) = mem::replace(&mut self.state, State::Dropped) {
            let (answer, answered) = oneshot::channel();
            // A transaction that is already over has nothing left to roll back.
            if link.send(Call::Rollback { answer }) {
                answered.await.ok();
            }
        }
        Ok(())
    }

    pub(crate) fn is(&self, id: u64) -> bool {
        matches!(&self.state, State::Open(link) if link.id == id)
    }

    pub(crate) fn take_on_commit(&mut self) -> OnCommit {
        mem::take(&mut self.on_commit)
    }

    /// Refuses a transaction of another store.
    pub(crate) fn check_belongs_to(&self, shared: &Arc<Shared>) -> Result<(), messagekit::Error> {
        if Arc::ptr_eq(&self.shared, shared) {
            return Ok(());
        }
        Err(messagekit::Error::new(ErrorKind::WrongState, "transaction belongs to another store"))
    }
}

impl fmt::Debug for SqliteTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Lazy => "not begun",
            State::Open(link) if link.ended.get().is_some() => "over",
            State::Open(_) => "open",
            State::Dropped => "over",
        };
        f.debug_struct("SqliteTx").field("state", &state).finish_non_exhaustive()
    }
}

fn dropped() -> messagekit::Error {
    messagekit::Error::new(ErrorKind::Aborted, "transaction has ended: an earlier call was dropped half-way")
}
