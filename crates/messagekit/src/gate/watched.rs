//! A state that clones share, and who waits for it to change.
//!
//! `tests/threads` compiles this file against shuttle's `Mutex` and goes through the orders in which threads may meet here.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A state behind a lock. Whoever is told to wait is woken by the next change.
pub(crate) struct Watched<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    state: T,
    /// Who waits, by handle.
    waiting: BTreeMap<u64, Waker>,
    handles: u64,
}

impl<T> Watched<T> {
    pub(crate) fn new(state: T) -> Self {
        Self { inner: Mutex::new(Inner { state, waiting: BTreeMap::new(), handles: 0 }) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a handle that nobody else has.
    pub(crate) fn handle(&self) -> u64 {
        let mut inner = self.lock();
        inner.handles += 1;
        inner.handles
    }

    /// Looks at the state.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock().state)
    }

    /// Changes the state and wakes everybody who waits: one of them may not want it any more.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        let waiting = {
            let mut inner = self.lock();
            change(&mut inner.state);
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Asks the state; where it answers nothing, the task waits for the next change.
    pub(crate) fn poll<R>(
        &self,
        handle: u64,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut T) -> Option<R>,
    ) -> Poll<R> {
        let mut inner = self.lock();
        match ask(&mut inner.state) {
            Some(answer) => {
                inner.waiting.remove(&handle);
                Poll::Ready(answer)
            }
            None => {
                inner.waiting.insert(handle, cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The handle is gone: nobody wakes it any more.
    pub(crate) fn leave(&self, handle: u64) {
        self.lock().waiting.remove(&handle);
    }
}
