//! The fixture of a store with one fault.

use std::sync::Arc;
use std::time::Duration;

use messagekit::log::Log;
use messagekit::{Message, MessageId};
use messagekit_testkit::fixtures::MemoryStoreFixture;
use messagekit_testkit::log::LogFixture;
use messagekit_testkit::store::{Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture};

use super::store::{Fault, FaultyStore, FaultyTx, RIGHT};

/// A fixture over a [`FaultyStore`].
#[derive(Clone)]
pub(crate) struct FaultyStoreFixture {
    inner: MemoryStoreFixture,
    store: FaultyStore,
}

impl FaultyStoreFixture {
    /// Creates a fixture with an empty store.
    pub(crate) fn new(fault: Option<&'static Fault>) -> Self {
        let inner = MemoryStoreFixture::new();
        let fault = fault.unwrap_or(&RIGHT);
        Self { store: FaultyStore { inner: inner.store(), fault, notes: Arc::default() }, inner }
    }
}

impl StoreFixture for FaultyStoreFixture {
    type Store = FaultyStore;

    fn store(&self) -> FaultyStore {
        self.store.clone()
    }

    async fn effect(&self, tx: &mut FaultyTx, key: &str) {
        self.inner.effect(tx.inner(), key).await;
    }

    async fn effects(&self, key: &str) -> u64 {
        // A read from a real database takes time, too.
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.inner.effects(key).await
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    async fn swallow_error(&self, tx: &mut FaultyTx) {
        self.inner.swallow_error(tx.inner()).await;
    }

    fn can_refuse_begin(&self) -> bool {
        true
    }

    async fn refuse_begin(&self) {
        self.inner.refuse_begin().await;
    }
}

impl FailedMessagesFixture for FaultyStoreFixture {
    async fn audit(&self) -> Vec<Audited> {
        let mut rows = self.inner.audit().await;
        (self.store.fault.audit)(&mut rows);
        rows
    }

    async fn forget_marker(&self, consumer: &str, id: &MessageId) {
        self.inner.forget_marker(consumer, id).await;
    }
}

impl OperatorsFixture for FaultyStoreFixture {
    async fn events(&self, topic: &str) -> Vec<Message> {
        let mut events = self.inner.events(topic).await;
        (self.store.fault.events)(&mut events);
        events
    }

    async fn failures(&self) -> Vec<(String, String, String)> {
        self.inner.failures().await
    }

    async fn age(&self, consumer: &str, topic: &str, by: Duration) {
        self.inner.age(consumer, topic, by).await;
    }
}

impl LogFixture for FaultyStoreFixture {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.store.clone())
    }

    async fn another_process(&self) -> FaultyStore {
        FaultyStore { inner: self.inner.another_process().await, ..self.store.clone() }
    }

    async fn delete_before(&self, topic: &str, offset: i64) {
        self.inner.delete_before(topic, offset).await;
    }
}
