//! The fixture of a store with one fault.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::headers::{EVENT_TYPE, ID};
use messagekit::log::Log;
use messagekit::{ErrorKind, Message, MessageId};
use messagekit_memory::{Failpoint, MemoryLog, MemoryStore};

use super::Fault;
use super::log::FaultyLog;
use super::store::{FaultyStore, FaultyTx, Notes};
use crate::log::LogFixture;
use crate::store::{Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture};

/// A fixture over a [`FaultyStore`].
#[derive(Clone)]
pub struct FaultyStoreFixture {
    store: FaultyStore,
    log: MemoryLog,
}

impl FaultyStoreFixture {
    /// Creates a fixture with an empty store.
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
        // A read from a real database takes time, too.
        tokio::time::sleep(Duration::from_millis(1)).await;
        u64::try_from(self.store.inner.get(key)).expect("effects are only added")
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

impl FailedMessagesFixture for FaultyStoreFixture {
    async fn audit(&self) -> Vec<Audited> {
        let mut rows = crate::fixtures::audit_of(&self.store.inner);
        match self.store.fault {
            Some(Fault::AuditForgetsRefusals) => rows.retain(|row| row.done > 0),
            Some(Fault::AuditForgetsRequests) => rows.iter_mut().for_each(|row| row.request_id = None),
            Some(Fault::AuditForgetsReplays) => rows.retain(|row| !row.action.contains("replay")),
            _ => {}
        }
        rows
    }

    async fn forget_marker(&self, consumer: &str, id: &MessageId) {
        self.store.inner.forget_marker(consumer, id);
    }
}

impl OperatorsFixture for FaultyStoreFixture {
    async fn events(&self, topic: &str) -> Vec<Message> {
        let mut events: Vec<Message> = Vec::new();
        for record in self.log.records(topic) {
            let mut event = record.message;
            let is_copy = events.iter().any(|known| known.headers.get(ID) == event.headers.get(ID));
            if is_copy && self.store.is(Fault::CopiesLoseTheirType) {
                event.headers.remove(EVENT_TYPE);
            }
            events.push(event);
        }
        events
    }

    async fn failures(&self) -> Vec<(String, String, String)> {
        crate::fixtures::failures_of(&self.store.inner)
    }

    async fn age(&self, consumer: &str, topic: &str, by: Duration) {
        self.store.inner.pretend_older(consumer, topic, by);
    }
}

impl LogFixture for FaultyStoreFixture {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(FaultyLog { inner: self.store.inner.clone(), fault: self.store.fault })
    }

    async fn another_process(&self) -> FaultyStore {
        FaultyStore { inner: self.store.inner.of_another_process(), ..self.store.clone() }
    }

    async fn delete_before(&self, topic: &str, offset: i64) {
        self.log.delete_before(topic, 0, offset);
    }
}

impl fmt::Debug for FaultyStoreFixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyStoreFixture").field("store", &self.store).finish_non_exhaustive()
    }
}
