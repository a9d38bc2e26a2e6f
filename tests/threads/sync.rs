//! shuttle's side of what the files under test use.

use std::sync::Arc;
use std::time::Duration;

pub(crate) use std::sync::PoisonError;

use shuttle::sync::Condvar;
pub(crate) use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
pub(crate) use shuttle::sync::{Mutex, MutexGuard};

/// Few enough that filling and emptying meet in all ways.
pub(crate) const MESSAGES: usize = 2;
pub(crate) const BYTES: usize = 100;

/// A thread that can be unparked. shuttle's own ends a wait for no reason too, and would hide a wake that is missing.
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

/// Without the time: whoever relies on it to notice something is found.
pub(crate) fn park_timeout(_: Duration) {
    park();
}
