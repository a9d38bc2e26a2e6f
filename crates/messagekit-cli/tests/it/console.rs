//! A file with failed messages.

use std::path::PathBuf;
use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Next, ReceivedMessage,
};
use messagekit::{Claim, Message, ParkingLimits, Position, Store, headers};
use messagekit_sqlite::SqliteStore;
use tempfile::TempDir;

pub(crate) struct Console {
    folder: TempDir,
}

/// A message without an id is stored under its position.
pub(crate) fn message(key: Option<&[u8]>, payload: &[u8]) -> Message {
    let mut message = Message::new("orders.order", payload.to_vec())
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header("tenant", b"\xffnorth".as_slice());
    message.key = key.map(|key| key.to_vec().into());
    message
}

impl Console {
    /// A file without failed messages.
    pub(crate) async fn empty() -> Self {
        let console = Self { folder: TempDir::new().unwrap() };
        SqliteStore::open(console.file()).await.unwrap().close().await.unwrap();
        console
    }

    /// Creates a file with a failed message per message; every second one still has a pending retry.
    pub(crate) async fn with(messages: impl IntoIterator<Item = Message>) -> Self {
        let console = Self::empty().await;
        let store = SqliteStore::open(console.file()).await.unwrap();
        for (number, message) in (1_i64..).zip(messages) {
            let position = Position { topic: message.topic.clone(), partition: 3, offset: number };
            let received = ReceivedMessage {
                id: format!("m-{number}").parse().unwrap(),
                message,
                position: Some(position),
            };
            let mut failure =
                Failure::permanent(FailureKind::Permanent, format!("order {number} has no customer"));
            if number % 2 == 0 {
                failure.kind = FailureKind::Failed;
                failure.next = Next::Retry(Duration::from_secs(3_600));
            }
            let mut tx = store.begin().await.unwrap();
            store.set_aside(&mut tx, "billing", &received, &failure).await.unwrap();
            store.commit(tx).await.unwrap();
        }
        store.close().await.unwrap();
        console
    }

    /// Creates a file with a failed message that blocks two others of its key.
    pub(crate) async fn with_a_blocked_key() -> Self {
        let console = Self::empty().await;
        let store = SqliteStore::open(console.file()).await.unwrap();
        let received = |number: i64| {
            let message = message(Some(b"o-1"), b"{}");
            let position = Position { topic: message.topic.clone(), partition: 3, offset: number };
            ReceivedMessage { id: format!("m-{number}").parse().unwrap(), message, position: Some(position) }
        };
        let claim = |received: &ReceivedMessage| ClaimRequest {
            id: received.id.clone(),
            topic: received.message.topic.clone(),
            key: received.message.key.clone(),
            generation: 0,
        };
        let [first, second, third] = [1, 2, 3].map(received);
        let (mut tx, room) = (store.begin().await.unwrap(), ParkingLimits::default());
        let failure = Failure::permanent(FailureKind::Permanent, "no such order");
        store.park(&mut tx, "billing", &first, &failure, room).await.unwrap();
        store.commit(tx).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let claims = store.claim(&mut tx, "billing", &[claim(&second), claim(&third)]).await.unwrap();
        assert_eq!(claims, [Claim::KeyBlocked; 2]);
        assert_eq!(store.park_behind(&mut tx, "billing", &[&second, &third], room).await.unwrap(), 2);
        store.commit(tx).await.unwrap();
        store.close().await.unwrap();
        console
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }
}
