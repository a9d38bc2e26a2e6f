//! The fixtures of the in-memory adapters. Use them as the pattern for your own.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, Publisher, Source};
use messagekit::log::Log;
use messagekit::{ErrorKind, Message, MessageId};
use messagekit_memory::{AuditEntry, Failpoint, MemoryLog, MemorySource, MemoryStore, MemoryTx};

use crate::log::LogFixture;
use crate::store::{Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture};
use crate::transport::TransportFixture;

/// A fresh [`MemoryLog`] with four partitions.
#[derive(Clone, Debug)]
pub struct MemoryTransport {
    log: MemoryLog,
}

impl MemoryTransport {
    /// Creates a fixture with an empty log.
    #[expect(clippy::new_without_default, reason = "a fixture is made by name")]
    pub fn new() -> Self {
        Self { log: MemoryLog::new(4) }
    }

    /// Returns the log.
    pub fn log(&self) -> &MemoryLog {
        &self.log
    }
}

impl TransportFixture for MemoryTransport {
    type Source = MemorySource;

    fn capabilities(&self) -> Capabilities {
        self.log.topics(["any"]).capabilities()
    }

    fn source(&self, topics: &[Arc<str>]) -> MemorySource {
        self.log.topics(topics.iter().cloned())
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        Box::new(self.log.clone())
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        self.log.lose(consumer);
    }
}

/// A fresh [`MemoryStore`] with an outbox log.
#[derive(Clone, Debug)]
pub struct MemoryStoreFixture {
    log: MemoryLog,
    store: MemoryStore,
}

impl MemoryStoreFixture {
    /// Creates a fixture with an empty store.
    #[expect(clippy::new_without_default, reason = "a fixture is made by name")]
    pub fn new() -> Self {
        let log = MemoryLog::new(1);
        Self { store: MemoryStore::with_log(&log), log }
    }
}

impl StoreFixture for MemoryStoreFixture {
    type Store = MemoryStore;

    fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    async fn effect(&self, tx: &mut MemoryTx, key: &str) {
        tx.add(key, 1);
    }

    async fn effects(&self, key: &str) -> u64 {
        u64::try_from(self.store.get(key)).expect("effects are only added")
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    async fn swallow_error(&self, tx: &mut MemoryTx) {
        tx.poison();
    }

    fn can_refuse_begin(&self) -> bool {
        true
    }

    async fn refuse_begin(&self) {
        self.store.fail_next(Failpoint::Begin, ErrorKind::Unavailable);
    }
}

impl FailedMessagesFixture for MemoryStoreFixture {
    async fn audit(&self) -> Vec<Audited> {
        let told = |entry: AuditEntry| Audited {
            by: entry.by,
            through: entry.through,
            request_id: entry.request_id,
            action: entry.action,
            ids: entry.ids,
            done: entry.done,
        };
        self.store.audit().into_iter().map(told).collect()
    }

    async fn forget_marker(&self, consumer: &str, id: &MessageId) {
        self.store.forget_marker(consumer, id);
    }
}

impl OperatorsFixture for MemoryStoreFixture {
    async fn events(&self, topic: &str) -> Vec<Message> {
        self.log.records(topic).into_iter().map(|record| record.message).collect()
    }

    async fn failures(&self) -> Vec<(String, String, String)> {
        let failures = self.store.failures().into_iter();
        failures.map(|(event, scope, reason)| (event.as_str().to_owned(), scope, reason)).collect()
    }

    async fn age(&self, consumer: &str, topic: &str, by: Duration) {
        self.store.pretend_older(consumer, topic, by);
    }
}

impl LogFixture for MemoryStoreFixture {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.store.clone())
    }

    async fn another_process(&self) -> MemoryStore {
        self.store.of_another_process()
    }

    async fn delete_before(&self, topic: &str, offset: i64) {
        self.log.delete_before(topic, 0, offset);
    }
}
