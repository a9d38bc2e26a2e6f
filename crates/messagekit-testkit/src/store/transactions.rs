//! Transactions are atomic, and their outcome is known.

use messagekit::adapter::{NextOffset, Positions};
use messagekit::{ErrorKind, Store};

use super::StoreFixture;
use super::fixture::{begin, commit};
use crate::{DEADLINE, eventually, unique};

/// The row exists after `Ok`.
pub async fn commit_keeps_the_row<F: StoreFixture>(fixture: &F) {
    let (store, key) = (fixture.store(), unique("row"));
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &key).await;
    commit(&store, tx).await;
    assert_eq!(fixture.effects(&key).await, 1);
}

/// Nothing is stored after a rollback.
pub async fn rollback_leaves_no_row<F: StoreFixture>(fixture: &F) {
    let (store, key) = (fixture.store(), unique("row"));
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &key).await;
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(fixture.effects(&key).await, 0);
}

/// A dropped transaction is rolled back, and its locks are released soon.
pub async fn dropped_transaction_leaves_no_row<F: StoreFixture>(fixture: &F) {
    let (store, key) = (fixture.store(), unique("row"));
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &key).await;
    drop(tx);
    eventually("the dropped transaction is out of the way", DEADLINE, async || {
        let mut tx = begin(&store).await;
        fixture.effect(&mut tx, &key).await;
        store.commit(tx).await.is_ok()
    })
    .await;
    assert_eq!(fixture.effects(&key).await, 1, "only the second transaction's row is there");
}

/// A commit after a failed statement with an ignored error is refused, and stores nothing.
pub async fn swallowed_error_fails_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, key) = (fixture.store(), unique("row"));
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &key).await;
    fixture.swallow_error(&mut tx).await;
    let refused = store.commit(tx).await.expect_err("the transaction had failed");
    assert_eq!(refused.kind(), ErrorKind::Aborted);
    assert_eq!(fixture.effects(&key).await, 0);
}

/// The write of the offsets row reports a failed statement before the commit.
pub async fn swallowed_error_fails_the_last_statement<F: StoreFixture>(fixture: &F) {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    fixture.swallow_error(&mut tx).await;
    let next = NextOffset { topic: "orders.order".into(), partition: 0, key_lane: 0, next: 1 };
    let refused =
        store.advance(&mut tx, &unique("consumer"), &[next]).await.expect_err("the transaction had failed");
    assert_eq!(refused.kind(), ErrorKind::Aborted);
}

/// Two handles use one database.
pub async fn another_handle_sees_what_was_committed<F: StoreFixture>(fixture: &F) {
    let (first, consumer) = (fixture.store(), unique("consumer"));
    let second = fixture.second().await.expect("the fixture has a second handle");
    let message = super::received("orders.order", "{}");
    assert_eq!(super::fixture::claim_now(&first, &consumer, &message).await, messagekit::Claim::Fresh);
    assert_eq!(super::fixture::claim_now(&second, &consumer, &message).await, messagekit::Claim::Done);
}
