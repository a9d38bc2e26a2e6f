//! The shuttle types that replace those of the files under test.

use std::sync::Arc;
use std::time::Duration;

pub(crate) use std::sync::PoisonError;

use shuttle::sync::Condvar;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// A small number, to let filling and emptying meet in all ways.
pub(crate) const MESSAGES: usize = 2;
pub(crate) const BYTES: usize = 100;

/// A thread that can be unparked. shuttle's own also ends a wait spuriously, and would hide a missing wake.
#[derive(Clone, Default)]
pub(crate) struct Thread(Arc<(Mutex<bool>, Condvar)>);

shuttle::thread_local! {
    static THIS: Thread = Thread::default();
}

impl Thread {
    pub(crate) fn unpark(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_one();
    }
}

pub(crate) fn current() -> Thread {
    THIS.with(Clone::clone)
}

pub(crate) fn park() {
    let Thread(parked) = current();
    let mut unparked = parked.0.lock().unwrap();
    while !std::mem::take(&mut *unparked) {
        unparked = parked.1.wait(unparked).unwrap();
    }
}

/// Ignores the time, which reveals code that relies on it.
pub(crate) fn park_timeout(_: Duration) {
    park();
}
