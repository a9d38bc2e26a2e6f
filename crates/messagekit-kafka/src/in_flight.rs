//! What the thread has told and nobody has taken yet.
//!
//! `tests/threads` compiles this file against shuttle's atomics and goes through the orders in which the two may meet here.

use crate::sync::{AtomicBool, AtomicUsize, BYTES, MESSAGES, Ordering};

/// Counts what is between the thread and the subscriber.
#[derive(Default)]
pub(crate) struct UnderWay {
    messages: AtomicUsize,
    bytes: AtomicUsize,
    /// The thread waits for room.
    waiting: AtomicBool,
}

impl UnderWay {
    pub(crate) fn add(&self, bytes: usize) {
        self.messages.fetch_add(1, Ordering::SeqCst);
        self.bytes.fetch_add(bytes, Ordering::SeqCst);
    }

    fn is_below(&self, messages: usize, bytes: usize) -> bool {
        self.messages.load(Ordering::SeqCst) < messages && self.bytes.load(Ordering::SeqCst) < bytes
    }

    /// Looks twice, because what waits may be taken between the look and the note that somebody waits.
    pub(crate) fn has_room(&self) -> bool {
        if self.is_below(MESSAGES, BYTES) {
            return true;
        }
        self.waiting.store(true, Ordering::SeqCst);
        self.is_below(MESSAGES, BYTES)
    }

    /// Takes one message away; true when the thread should be woken, which is when half is free and not for each message.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.messages.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.is_below(MESSAGES / 2, BYTES / 2) && self.waiting.swap(false, Ordering::SeqCst)
    }
}
