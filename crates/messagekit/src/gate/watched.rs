//! A state that clones share, and the tasks that wait for its changes.
//!
//! `tests/threads` compiles this file with shuttle's `Mutex` and tests the possible interleavings of threads.

use std::collections::BTreeMap;
use std::task::{Context, Poll, Waker};

use crate::sync::{Mutex, MutexGuard, PoisonError};

/// A state behind a lock. Each change wakes the waiting tasks.
pub(crate) struct Watched<T> {
    inner: Mutex<Inner<T>>,
}

struct Inner<T> {
    state: T,
    /// Wakers of waiting tasks, by handle.
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

    /// Returns a unique handle.
    pub(crate) fn handle(&self) -> u64 {
        let mut inner = self.lock();
        inner.handles += 1;
        inner.handles
    }

    /// Reads the state.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&mut T) -> R) -> R {
        look(&mut self.lock().state)
    }

    /// Changes the state and wakes all waiting tasks, because one of them may no longer want it.
    pub(crate) fn change(&self, change: impl FnOnce(&mut T)) {
        let waiting = {
            let mut inner = self.lock();
            change(&mut inner.state);
            std::mem::take(&mut inner.waiting)
        };
        waiting.into_values().for_each(Waker::wake);
    }

    /// Polls the state. If it returns nothing, the task waits for the next change.
    pub(crate) fn poll<R>(
        &self,
        handle: u64,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut T) -> Option<R>,
    ) -> Poll<R> {
        let mut inner = self.lock();
        match poll(&mut inner.state) {
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

    /// Removes a dropped handle, which is not woken any more.
    pub(crate) fn leave(&self, handle: u64) {
        self.lock().waiting.remove(&handle);
    }
}
