//! One transaction from begin to checked commit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::adapter::{End, Markers, TransactError};
use messagekit::{Claim, ErrorKind, Store};

use super::fixture::look;
use super::{StoreFixture, received, request};
use crate::unique;

/// Runs work that claims a message and ends as `end` says. Returns the answer of `transact` and whether the work ran.
async fn claim_in_transact<F: StoreFixture>(
    store: &F::Store,
    consumer: &str,
    of: &messagekit::adapter::ReceivedMessage,
    end: fn(Claim) -> End<Claim>,
) -> (Result<Claim, TransactError>, bool) {
    let (inner, consumer, request) = (store.clone(), consumer.to_owned(), request(of));
    let ran = Arc::new(AtomicBool::new(false));
    let note = ran.clone();
    let answer = store
        .transact(Box::new(move |mut tx| {
            Box::pin(async move {
                note.store(true, Ordering::SeqCst);
                let claims = inner.claim(&mut tx, &consumer, &[request]).await.expect("claims are answered");
                (tx, end(claims[0]))
            })
        }))
        .await;
    (answer, ran.load(Ordering::SeqCst))
}

/// Work that returns a commit is committed, and its result is returned.
pub async fn transact_commits<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let (answer, _) = claim_in_transact::<F>(&store, &consumer, &message, End::Commit).await;
    assert_eq!(answer.expect("the transaction commits"), Claim::Fresh);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
}

/// Work that returns a rollback is rolled back, and its result is returned.
pub async fn transact_rolls_back<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let (answer, _) = claim_in_transact::<F>(&store, &consumer, &message, End::Rollback).await;
    assert_eq!(answer.expect("the transaction rolls back"), Claim::Fresh);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
}

/// A begin that fails is distinct from a commit that fails: the work did not run.
pub async fn transact_reports_begin_errors<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    fixture.refuse_begin().await;
    let (answer, ran) = claim_in_transact::<F>(&store, &consumer, &message, End::Commit).await;
    assert!(matches!(answer, Err(TransactError::Begin(_))), "{answer:?}");
    assert!(!ran, "the work ran without a transaction");
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
}

/// A refused commit returns its error, and nothing is stored.
pub async fn transact_reports_refused_commits<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let (inner, fixture, name, claim) = (store.clone(), fixture.clone(), consumer.clone(), request(&message));
    let work = store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            inner.claim(&mut tx, &name, &[claim]).await.expect("claims are answered");
            fixture.swallow_error(&mut tx).await;
            (tx, End::Commit(()))
        })
    }));
    let answer = work.await;
    assert!(
        matches!(&answer, Err(TransactError::Commit(error)) if error.kind() == ErrorKind::Aborted),
        "{answer:?}"
    );
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
}

/// A call that is dropped before the commit is rolled back.
pub async fn dropped_transact_leaves_no_row<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let (inner, name, claim) = (store.clone(), consumer.clone(), request(&message));
    let (claimed, has_claimed) = tokio::sync::oneshot::channel();
    let work = store.transact::<()>(Box::new(move |mut tx| {
        Box::pin(async move {
            inner.claim(&mut tx, &name, &[claim]).await.expect("claims are answered");
            // A closed receiver means that the case is over.
            let _ = claimed.send(());
            std::future::pending::<()>().await;
            (tx, End::Commit(()))
        })
    }));
    tokio::select! {
        _ = work => panic!("work that never ends has ended"),
        claimed = has_claimed => claimed.expect("the work claims"),
    }
    let fresh = async || look(&store, &consumer, &message).await == Claim::Fresh;
    crate::eventually("the dropped work is rolled back", crate::DEADLINE, fresh).await;
}
