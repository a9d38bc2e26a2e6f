//! The writing connection, which no statement can take out of its transaction.

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind, crash};
use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::error::from_sqlite;
use crate::open_file::OpenFile;

// The statement cache looks up by text and does not call the authorizer again. With a text that users never write, a
// user's `COMMIT` never finds ours there.
const BEGIN: &str = "BEGIN IMMEDIATE -- messagekit";
const COMMIT: &str = "COMMIT -- messagekit";
const ROLLBACK: &str = "ROLLBACK -- messagekit";

/// Virtual machine steps between two checks of the clock: the cost is below the noise in pure SQL loops.
const STEPS: i32 = 4_000;
const NO_DEADLINE: u64 = u64::MAX;

/// State that the hooks read.
#[derive(Debug)]
struct Flags {
    /// Our own COMMIT is running. Any other commit is vetoed: it would come from a statement that continued in autocommit
    /// mode after an automatic rollback (`INSERT OR ROLLBACK`, a full disk).
    committing: AtomicBool,
    /// Counts rollbacks of any cause.
    rollbacks: AtomicU64,
    /// A user's closure is running.
    user: Arc<AtomicBool>,
    /// When the open transaction must release the lock, in microseconds after `zero`.
    deadline: AtomicU64,
    /// The time that it has for this, in microseconds.
    limit: AtomicU64,
    zero: Instant,
}

/// A connection with its hooks, begin and checked commit.
#[derive(Debug)]
pub(crate) struct Guarded {
    conn: Connection,
    file: OpenFile,
    flags: Arc<Flags>,
}

impl Guarded {
    pub(crate) fn new(conn: Connection) -> rusqlite::Result<Self> {
        let user = refuse_control_statements(&conn)?;
        let flags = Arc::new(Flags {
            committing: AtomicBool::new(false),
            rollbacks: AtomicU64::new(0),
            user,
            deadline: AtomicU64::new(NO_DEADLINE),
            limit: AtomicU64::new(0),
            zero: Instant::now(),
        });
        let seen = Arc::clone(&flags);
        conn.commit_hook(Some(move || !seen.committing.load(Relaxed)))?;
        let seen = Arc::clone(&flags);
        conn.rollback_hook(Some(move || {
            seen.rollbacks.fetch_add(1, Relaxed);
        }))?;
        let seen = Arc::clone(&flags);
        conn.progress_handler(STEPS, Some(move || seen.is_late()))?;
        let file = OpenFile::at(Path::new(conn.path().unwrap_or_default()));
        Ok(Self { conn, file, flags })
    }

    pub(crate) fn conn(&self) -> &Connection {
        &self.conn
    }

    pub(crate) fn into_conn(self) -> Connection {
        self.conn
    }

    /// Takes the write lock, for at most `bound`.
    pub(crate) fn begin(self: &Rc<Self>, bound: Option<Duration>) -> Result<Open, Error> {
        self.execute(BEGIN).map_err(from_sqlite)?;
        if let Some(bound) = bound {
            let deadline = self.flags.zero.elapsed().saturating_add(bound).as_micros();
            self.flags.deadline.store(u64::try_from(deadline).unwrap_or(NO_DEADLINE - 1), Relaxed);
            self.flags.limit.store(u64::try_from(bound.as_micros()).unwrap_or(u64::MAX), Relaxed);
        }
        Ok(Open { guarded: Rc::clone(self), rollbacks: self.flags.rollbacks.load(Relaxed) })
    }

    fn execute(&self, sql: &str) -> rusqlite::Result<()> {
        self.conn.prepare_cached(sql)?.execute([]).map(drop)
    }
}

impl Flags {
    fn is_late(&self) -> bool {
        let deadline = self.deadline.load(Relaxed);
        deadline != NO_DEADLINE && self.zero.elapsed().as_micros() > u128::from(deadline)
    }
}

/// The open transaction; dropping it without a commit rolls it back.
#[derive(Debug)]
pub(crate) struct Open {
    guarded: Rc<Guarded>,
    rollbacks: u64,
}

impl Open {
    pub(crate) fn conn(&self) -> &Connection {
        &self.guarded.conn
    }

    /// Runs `work` with the user's rights.
    pub(crate) fn as_user<R>(&self, work: impl FnOnce(&Connection) -> R) -> R {
        // A panic must not leave the engine's own statements refused.
        struct Reset<'f>(&'f AtomicBool);
        impl Drop for Reset<'_> {
            fn drop(&mut self) {
                self.0.store(false, Relaxed);
            }
        }
        self.guarded.flags.user.store(true, Relaxed);
        let _reset = Reset(&self.guarded.flags.user);
        work(&self.guarded.conn)
    }

    /// Returns whether the transaction that was begun is still open.
    pub(crate) fn is_intact(&self) -> bool {
        !self.guarded.conn.is_autocommit() && self.guarded.flags.rollbacks.load(Relaxed) == self.rollbacks
    }

    /// Returns whether the lock was held for longer than the bound.
    pub(crate) fn is_late(&self) -> bool {
        self.guarded.flags.is_late()
    }

    /// Returns the error of a transaction that held the lock for too long.
    pub(crate) fn timed_out(&self) -> Error {
        transaction_timeout(Duration::from_micros(self.guarded.flags.limit.load(Relaxed)))
    }

    /// Commits if the transaction has not ended before, within the time limit.
    pub(crate) fn commit(self) -> Result<(), Error> {
        if !self.is_intact() {
            return Err(aborted());
        }
        if self.is_late() {
            return Err(self.timed_out());
        }
        self.guarded.file.check()?;
        let flags = &self.guarded.flags;
        flags.deadline.store(NO_DEADLINE, Relaxed);
        crash::point("store.before_commit");
        flags.committing.store(true, Relaxed);
        let outcome = self.guarded.execute(COMMIT);
        flags.committing.store(false, Relaxed);
        match outcome {
            Ok(()) => {
                crash::point("store.committed");
                Ok(())
            }
            // The log may hold the commit although its sync failed, and a crash now would restore it.
            Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure) => {
                Err(Error::new(ErrorKind::OutcomeUnknown, "commit was written and not confirmed by the disk")
                    .caused_by(error))
            }
            Err(error) => Err(from_sqlite(error)),
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.guarded.flags.deadline.store(NO_DEADLINE, Relaxed);
        if !self.guarded.conn.is_autocommit()
            && let Err(error) = self.guarded.execute(ROLLBACK)
        {
            tracing::error!(%error, "rollback was refused");
        }
    }
}

/// Returns the error for a transaction that an earlier statement has ended.
pub(crate) fn aborted() -> Error {
    Error::new(ErrorKind::Aborted, "transaction has ended: an earlier statement rolled it back")
}

/// Returns the error for a transaction that held the lock for longer than `limit`.
pub(crate) fn transaction_timeout(limit: Duration) -> Error {
    Error::new(
        ErrorKind::TransactionTimeout,
        "transaction held the write lock for too long and was rolled back: do less in it, call other services before it \
         (a consumer's `on_call`), or set a longer `transaction_timeout` in the options of the store",
    )
    .with("limit", format!("{limit:?}"))
}

/// Refuses statements with which a user's closure would leave its transaction or change the connection.
///
/// Returns the flag for a running user's closure: replacing the authorizer itself would expire every cached statement.
/// Savepoints and read-only pragmas stay allowed.
pub(crate) fn refuse_control_statements(conn: &Connection) -> rusqlite::Result<Arc<AtomicBool>> {
    const READING_PRAGMAS: [&str; 8] = [
        "table_info",
        "table_xinfo",
        "table_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "foreign_key_list",
        "foreign_key_check",
    ];
    let user = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&user);
    conn.authorizer(Some(move |context: AuthContext<'_>| match context.action {
        _ if !seen.load(Relaxed) => Authorization::Allow,
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) }
            if !READING_PRAGMAS.iter().any(|known| pragma_name.eq_ignore_ascii_case(known)) =>
        {
            Authorization::Deny
        }
        // This pragma acts also without a value.
        AuthAction::Pragma { pragma_name, .. } if pragma_name.eq_ignore_ascii_case("wal_checkpoint") => {
            Authorization::Deny
        }
        AuthAction::Transaction { .. } | AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Authorization::Deny
        }
        _ => Authorization::Allow,
    }))?;
    Ok(user)
}
