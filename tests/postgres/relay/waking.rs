//! A commit wakes the relays of its own process.

use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::relay::OutboxReader;
use messagekit::{Message, Store, headers};
use messagekit_testkit::{DEADLINE, block_on};
use tokio::time::timeout;

use super::outbox::Relayed;
use crate::shop::OrderPlaced;

/// The time in which an unexpected hint would arrive.
const QUIET: Duration = Duration::from_millis(200);

#[test]
fn event_committed_outside_the_outbox_wakes_the_relay() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        assert!(timeout(Duration::ZERO, relayed.store.woken()).await.is_err());
        let mut tx = relayed.store.begin().await.unwrap();
        relayed.outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        sqlx::Transaction::from(tx).commit().await.unwrap();
        timeout(DEADLINE, relayed.store.woken()).await.expect("a hint");
    });
}

#[test]
fn rolled_back_commit_does_not_wake_the_relay() {
    block_on(async {
        let relayed = Relayed::fresh().await;
        let mut tx = relayed.store.begin().await.unwrap();
        let message = Message::new("a.b", "").with_header(headers::ID, "m-1");
        relayed.store.write(&mut tx, &[message.clone(), message]).await.unwrap_err();
        relayed.outbox.commit(tx).await.unwrap_err();
        assert!(timeout(QUIET, relayed.store.woken()).await.is_err());
    });
}
