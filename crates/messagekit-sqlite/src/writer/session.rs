//! The transaction that the writer is serving.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use rusqlite::Connection;

use super::guard::{Guarded, Open, aborted};

thread_local! {
    static CURRENT: RefCell<Option<Rc<Session>>> = const { RefCell::new(None) };
}

/// The reason why a transaction is over, shared with its handle.
pub(crate) type Ended = Arc<OnceLock<Error>>;

/// The origin of the statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Engine,
    User,
}

/// An open transaction on the writer thread.
#[derive(Debug)]
pub(crate) struct Session {
    id: u64,
    open: RefCell<Option<Open>>,
    ended: Ended,
    deadline: Instant,
}

impl Session {
    /// Begins a transaction, which handlers polled on this thread can then find.
    pub(crate) fn begin(
        guarded: &Rc<Guarded>,
        id: u64,
        ended: Ended,
        bound: Duration,
    ) -> Result<Current, Error> {
        let open = guarded.begin(Some(bound))?;
        let session =
            Rc::new(Self { id, open: RefCell::new(Some(open)), ended, deadline: Instant::now() + bound });
        CURRENT.set(Some(Rc::clone(&session)));
        Ok(Current(session))
    }

    /// Returns transaction `id` if the calling thread is its writer.
    pub(crate) fn current(id: u64) -> Option<Rc<Self>> {
        CURRENT.with_borrow(|current| current.as_ref().filter(|session| session.id == id).cloned())
    }

    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// Returns how long the transaction may still have the writer.
    pub(crate) fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Returns whether the transaction is over.
    pub(crate) fn is_over(&self) -> bool {
        self.open.borrow().is_none()
    }

    /// Runs statements. Rolls back at once when they ended the transaction, exceeded the time limit or panicked.
    ///
    /// The outer error is a panic.
    pub(crate) fn run<R>(
        &self,
        access: Access,
        work: impl FnOnce(&Connection) -> Result<R, Error>,
    ) -> thread::Result<Result<R, Error>> {
        let open = self.open.borrow();
        let Some(transaction) = open.as_ref() else { return Ok(Err(self.reason())) };
        if transaction.is_late() {
            let late = transaction.timed_out();
            drop(open);
            return Ok(Err(self.end(late)));
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| match access {
            Access::Engine => work(transaction.conn()),
            Access::User => transaction.as_user(work),
        }));
        let dead = if transaction.is_late() {
            Some(transaction.timed_out())
        } else if outcome.is_err() {
            Some(Error::new(ErrorKind::Aborted, "transaction has ended: an earlier closure panicked"))
        } else if !transaction.is_intact() {
            Some(aborted())
        } else {
            None
        };
        drop(open);
        let Some(dead) = dead else { return outcome };
        let dead = self.end(dead);
        outcome.map(|result| match result {
            Ok(_) => Err(dead),
            Err(error) if dead.kind() == ErrorKind::TransactionTimeout => Err(dead.caused_by(error)),
            Err(error) => Err(error),
        })
    }

    /// Commits with a check.
    pub(crate) fn commit(&self) -> Result<(), Error> {
        let open = self.open.borrow_mut().take();
        let outcome = match open {
            Some(open) => open.commit(),
            None => Err(self.reason()),
        };
        if let Err(error) = &outcome {
            self.ended.set(error.clone()).ok();
        }
        outcome
    }

    /// Rolls back; later calls get `reason` as their error.
    pub(crate) fn end(&self, reason: Error) -> Error {
        self.ended.set(reason).ok();
        self.open.borrow_mut().take();
        self.reason()
    }

    fn reason(&self) -> Error {
        self.ended.get().cloned().unwrap_or_else(aborted)
    }
}

/// Makes a [`Session`] findable, and finally rolls it back if it is still open.
#[derive(Debug)]
pub(crate) struct Current(Rc<Session>);

impl std::ops::Deref for Current {
    type Target = Session;

    fn deref(&self) -> &Session {
        &self.0
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        CURRENT.set(None);
        self.0.end(aborted());
    }
}
