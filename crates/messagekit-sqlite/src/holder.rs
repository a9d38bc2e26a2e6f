//! Tracks the owners of transactions, so that waiting for one's own lock fails at once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use messagekit::{Error, ErrorKind};
use tokio::task;

use crate::writer::Ended;

/// The unit that waits: a task, or the thread of a `block_on`, where there is no task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    Task(task::Id),
    Thread(ThreadId),
}

impl Owner {
    pub(crate) fn current() -> Self {
        task::try_id().map_or_else(|| Self::Thread(thread::current().id()), Self::Task)
    }
}

/// The owners of the transactions that have the writer or wait for it.
///
/// The caller's side adds and removes them: the writer notices a dropped transaction a moment later, and must not refuse
/// a task that writes again in that moment.
#[derive(Debug, Default)]
pub(crate) struct Holders(Mutex<HashMap<Owner, Held>>);

#[derive(Debug)]
struct Held {
    id: u64,
    ended: Ended,
}

impl Held {
    /// A transaction that the timeout has ended blocks nothing, although its handle still exists.
    fn blocks(&self) -> bool {
        self.ended.get().is_none()
    }
}

impl Holders {
    /// Fails when the current owner already holds a transaction.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let holders = self.lock();
        if !holders.is_empty() && holders.get(&Owner::current()).is_some_and(Held::blocks) {
            return Err(would_deadlock("this task holds a transaction on the same file"));
        }
        Ok(())
    }

    /// Records that the current task waits for transaction `id`, and then holds it.
    pub(crate) fn enter(&self, id: u64, ended: &Ended) -> Result<Owner, Error> {
        let owner = Owner::current();
        let mut holders = self.lock();
        if holders.get(&owner).is_some_and(Held::blocks) {
            return Err(would_deadlock("this task holds another transaction on the same file"));
        }
        holders.insert(owner, Held { id, ended: Ended::clone(ended) });
        Ok(owner)
    }

    /// Transfers a transaction that was moved to another task.
    pub(crate) fn follow(&self, owner: Owner, id: u64) -> Owner {
        let now = Owner::current();
        if now == owner {
            return owner;
        }
        let mut holders = self.lock();
        if holders.get(&now).is_some_and(Held::blocks) || holders.get(&owner).is_none_or(|held| held.id != id)
        {
            return owner;
        }
        if let Some(held) = holders.remove(&owner) {
            holders.insert(now, held);
        }
        now
    }

    /// Removes transaction `id`.
    pub(crate) fn leave(&self, owner: Owner, id: u64) {
        let mut holders = self.lock();
        if holders.get(&owner).is_some_and(|held| held.id == id) {
            holders.remove(&owner);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Owner, Held>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Names the mistake and the call to use instead.
pub(crate) fn would_deadlock(what: &'static str) -> Error {
    Error::new(ErrorKind::WouldDeadlock, what)
        .with("instead", "write inside that transaction, as `outbox.add(&mut tx, …)` does, or end it first")
}
