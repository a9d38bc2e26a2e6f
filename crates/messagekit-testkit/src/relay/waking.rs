//! A commit wakes the relays of its own process.

use std::pin::pin;
use std::task::{Context, Waker};

use messagekit::adapter::OutboxRows;
use messagekit::relay::OutboxReader;
use messagekit::{Outbox, Store};

use super::fixture::event;
use super::{RelayFixture, TOPICS};

fn is_woken<S: OutboxReader>(store: &S) -> bool {
    pin!(store.woken()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

/// A commit of the outbox wakes a relay before the next poll, once, through any clone. A rollback does not.
pub async fn commit_of_the_outbox_wakes_a_relay<F: RelayFixture>(fixture: &F) {
    let store = fixture.store();
    let outbox = Outbox::new(store.clone(), "shop").expect("a plain name");
    let relay = store.clone();
    let mut tx = store.begin().await.expect("a transaction begins");
    store.write(&mut tx, &[event(TOPICS[0], "e-1", None)]).await.expect("events can be written");
    assert!(!is_woken(&relay), "nothing is committed");
    outbox.commit(tx).await.expect("the transaction commits");
    assert!(is_woken(&relay), "it was told before it asked");
    assert!(!is_woken(&relay), "it was told twice");
    let mut tx = store.begin().await.expect("a transaction begins");
    let event = event(TOPICS[0], "e-2", None);
    store.write(&mut tx, &[event]).await.expect("events can be written");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    outbox.wake();
    assert!(is_woken(&relay), "somebody says that he has committed");
}
