//! What the members of a faulty transport share.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use messagekit_memory::MemorySubscriber;

/// State that the members of a faulty transport share.
#[derive(Default)]
pub(super) struct Shared {
    known: Mutex<BTreeSet<String>>,
    undead: Mutex<Vec<MemorySubscriber>>,
}

impl Shared {
    /// Keeps a member alive after it closed.
    pub(super) fn keep(&self, member: MemorySubscriber) {
        self.undead.lock().unwrap_or_else(PoisonError::into_inner).push(member);
    }

    /// Returns whether no member of a consumer has subscribed before.
    pub(super) fn is_new(&self, consumer: &str) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(consumer.to_owned())
    }
}
