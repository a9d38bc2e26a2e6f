//! Wakes the writer thread to poll again.
//!
//! `tests/threads` compiles this file with shuttle's threads and tries the possible orders of a wake and a wait.

use std::sync::Arc;
use std::task::Wake;
use std::time::Duration;

use crate::sync::{AtomicBool, Ordering, Thread, current, park_timeout};

/// A waker of one thread. Its initial state is woken, because new work is polled once.
pub(crate) struct Unpark {
    thread: Thread,
    woken: AtomicBool,
}

impl Unpark {
    pub(crate) fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { thread: current(), woken: AtomicBool::new(true) })
    }

    /// Returns whether it was woken since the last call.
    pub(crate) fn take(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }

    /// Waits until it is woken, the thread is unparked, or the time has passed.
    pub(crate) fn wait(&self, at_most: Duration) {
        if !self.woken.load(Ordering::Acquire) {
            park_timeout(at_most);
        }
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}
