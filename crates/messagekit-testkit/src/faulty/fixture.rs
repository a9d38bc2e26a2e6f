//! The fixture of a store with one fault.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::memory::{Failpoint, MemoryLog, MemoryStore};
use messagekit::{ErrorKind, Message};

use super::Fault;
use super::store::{FaultyStore, FaultyTx, Notes};
use crate::store::StoreFixture;

/// A fixture over a [`FaultyStore`].
#[derive(Clone)]
pub struct FaultyStoreFixture {
    store: FaultyStore,
    log: MemoryLog,
}

impl FaultyStoreFixture {
    /// Makes one with an empty store.
    pub fn new(fault: Option<Fault>) -> Self {
        let log = MemoryLog::new(1);
        let inner = MemoryStore::with_log(&log);
        let notes = Notes { first_lease: true, ..Notes::default() };
        Self { store: FaultyStore { inner, fault, notes: Arc::new(Mutex::new(notes)) }, log }
    }
}

impl StoreFixture for FaultyStoreFixture {
    type Store = FaultyStore;

    fn store(&self) -> FaultyStore {
        self.store.clone()
    }

    async fn effect(&self, tx: &mut FaultyTx, key: &str) {
        tx.inner().add(key, 1);
    }

    async fn effects(&self, key: &str) -> u64 {
        // A read of a real database takes a moment, too.
        tokio::time::sleep(Duration::from_millis(1)).await;
        u64::try_from(self.store.inner.get(key)).expect("effects are only added")
    }

    async fn events(&self, topic: &str) -> Vec<Message> {
        self.log.records(topic).into_iter().map(|record| record.message).collect()
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    async fn swallow_error(&self, tx: &mut FaultyTx) {
        tx.inner().poison();
    }

    fn can_refuse_begin(&self) -> bool {
        true
    }

    async fn refuse_begin(&self) {
        self.store.inner.fail_next(Failpoint::Begin, ErrorKind::Unavailable);
    }
}

impl fmt::Debug for FaultyStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStoreFixture").field("store", &self.store).finish_non_exhaustive()
    }
}
