//! The contents of the stores.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Failure, FailureKind, FullInbox, Next, OutboxRows, ReceivedMessage};
use messagekit::operations::Operations;
use messagekit::{Message, MessageId, headers};
use messagekit_memory::MemoryStore;
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;

/// Occurs in payloads and header values, and nowhere else.
pub(crate) const SECRET: &str = "planted-4711";

/// Options for transactions that a busy machine may stop for a while.
pub(crate) fn patient() -> SqliteOptions {
    let long = Duration::from_secs(120);
    SqliteStore::options().transaction_timeout(long).busy_timeout(long)
}

/// The stores that every behaviour test runs over; the folder is deleted at the end.
pub(crate) struct Stores {
    _folder: TempDir,
    pub(crate) memory: MemoryStore,
    pub(crate) sqlite: SqliteStore,
}

impl Stores {
    /// Creates both with `failed_messages` failed messages and `events` events.
    pub(crate) async fn with(failed_messages: usize, events: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let sqlite = patient().open(folder.path().join("shop.db")).await.unwrap();
        let stores = Self { _folder: folder, memory: MemoryStore::new(), sqlite };
        fill(&stores.memory, failed_messages, events).await;
        fill(&stores.sqlite, failed_messages, events).await;
        stores
    }

    pub(crate) fn each(&self) -> [Arc<dyn Operations>; 2] {
        [Arc::new(self.memory.clone()), Arc::new(self.sqlite.clone())]
    }
}

pub(crate) async fn fill<S: FullInbox + OutboxRows>(store: &S, failed_messages: usize, events: usize) {
    for number in 1..=failed_messages {
        dead(store, number).await;
    }
    if events > 0 {
        let mut tx = store.begin().await.unwrap();
        store.write(&mut tx, &(1..=events).map(event).collect::<Vec<_>>()).await.unwrap();
        store.commit(tx).await.unwrap();
    }
}

/// A failed message of `billing`, with the key `k-NUMBER`.
pub(crate) async fn dead<S: FullInbox>(store: &S, number: usize) {
    let failure = Failure::permanent(FailureKind::Permanent, format!("order {number} has no customer"));
    set_aside(store, "billing", number, failure).await;
}

/// A failed message that its consumer still retries.
pub(crate) async fn retrying<S: FullInbox>(store: &S, number: usize) {
    let mut failure = Failure::retryable(FailureKind::Failed, "no answer");
    failure.next = Next::Retry(std::time::Duration::from_secs(3_600));
    set_aside(store, "stock", number, failure).await;
}

async fn set_aside<S: FullInbox>(store: &S, consumer: &str, number: usize, failure: Failure) {
    let message = Message::new("orders.order", format!(r#"{{"eventId":"m-{number}","note":"{SECRET}"}}"#))
        .with_key(format!("k-{number}"))
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header("tenant", format!("{SECRET}-header"));
    let received = ReceivedMessage { id: format!("m-{number}").parse().unwrap(), message, position: None };
    let mut tx = store.begin().await.unwrap();
    store.set_aside(&mut tx, consumer, &received, &failure).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// An event of the outbox.
pub(crate) fn event(number: usize) -> Message {
    let id = MessageId::new();
    Message::new(
        "orders.order",
        format!(
            r#"{{"eventId":"{id}","eventType":"orders.order.placed","number":{number},"note":"{SECRET}"}}"#
        ),
    )
    .with_key(format!("k-{number}"))
    .with_header(headers::ID, id.as_str().to_owned())
    .with_header(headers::EVENT_TYPE, "orders.order.placed")
    .with_header(headers::CONTENT_TYPE, headers::JSON)
}
