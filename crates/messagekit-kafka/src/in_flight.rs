//! The messages that the polling thread has sent and the subscriber has not received yet.
//!
//! `tests/threads` compiles this file against shuttle's atomics and explores the interleavings of both threads.

use crate::sync::{AtomicBool, AtomicUsize, BYTES, MESSAGES, Ordering};

/// Counts messages and bytes between the polling thread and the subscriber.
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

    /// Checks twice: the subscriber may receive messages between the first check and the store to `waiting`.
    pub(crate) fn has_room(&self) -> bool {
        if self.is_below(MESSAGES, BYTES) {
            return true;
        }
        self.waiting.store(true, Ordering::SeqCst);
        self.is_below(MESSAGES, BYTES)
    }

    /// Removes one message; returns true when the thread should be woken: once half of the room is free, not for each
    /// message.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        self.messages.fetch_sub(1, Ordering::SeqCst);
        self.bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.is_below(MESSAGES / 2, BYTES / 2) && self.waiting.swap(false, Ordering::SeqCst)
    }
}
