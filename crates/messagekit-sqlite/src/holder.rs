//! Who holds a transaction, so that waiting for one's own lock is answered instead of waited for.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};

use messagekit::{Error, ErrorKind};
use tokio::task;

use crate::writer::Ended;

/// What waits as one: a task, or the thread of a `block_on`, where there is no task.
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
/// They are entered and taken out on the caller's side: the writer notices a dropped transaction a moment later, and a
/// task that goes on writing in that moment must not be refused.
#[derive(Debug, Default)]
pub(crate) struct Holders(Mutex<HashMap<Owner, Held>>);

#[derive(Debug)]
struct Held {
    id: u64,
    ended: Ended,
}

impl Held {
    /// One that the lock bound has ended stands in nobody's way, although its handle is still there.
    fn blocks(&self) -> bool {
        self.ended.get().is_none()
    }
}

impl Holders {
    /// Refuses an owner that holds a transaction already.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let holders = self.lock();
        if !holders.is_empty() && holders.get(&Owner::current()).is_some_and(Held::blocks) {
            return Err(would_deadlock("this task holds a transaction on the same file"));
        }
        Ok(())
    }

    /// Notes that the current task waits for, and then holds, transaction `id`.
    pub(crate) fn enter(&self, id: u64, ended: &Ended) -> Result<Owner, Error> {
        let owner = Owner::current();
        let mut holders = self.lock();
        if holders.get(&owner).is_some_and(Held::blocks) {
            return Err(would_deadlock("this task holds another transaction on the same file"));
        }
        holders.insert(owner, Held { id, ended: Ended::clone(ended) });
        Ok(owner)
    }

    /// Follows a transaction that was moved to another task.
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

    /// Forgets transaction `id`.
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

/// Names what is wrong and the call to use instead.
pub(crate) fn would_deadlock(what: &'static str) -> Error {
    Error::new(ErrorKind::WouldDeadlock, what)
        .with("instead", "write inside that transaction, as `outbox.add(&mut tx, …)` does, or end it first")
}
