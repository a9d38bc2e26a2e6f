//! Claims, which make effects happen once.

use std::time::Duration;

use messagekit::adapter::{ClaimRequest, Markers, ReceivedMessage};
use messagekit::{Claim, Error, MessageId, Store};

use super::fixture::{begin, claim_in, claim_now, commit, look, until_through};
use super::{StoreFixture, received, request};
use crate::unique;

fn messages(count: usize) -> Vec<ReceivedMessage> {
    (0..count).map(|number| received("orders.order", &number.to_string())).collect()
}

/// The first committed claim is fresh, and later claims are done.
pub async fn claim_is_fresh_once_per_consumer<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Fresh);
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Done);
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Done);
}

/// Each consumer has its own markers.
pub async fn same_id_is_fresh_for_another_consumer<F: StoreFixture>(fixture: &F) {
    let (store, message) = (fixture.store(), received("orders.order", "{}"));
    let (first, second) = (unique("consumer"), unique("consumer"));
    assert_eq!(claim_now(&store, &first, &message).await, Claim::Fresh);
    assert_eq!(claim_now(&store, &second, &message).await, Claim::Fresh);
    assert_eq!(claim_now(&store, &first, &message).await, Claim::Done);
}

/// Claims, waits a moment, and commits. It writes the row when the claim was fresh.
async fn handle_slowly<F: StoreFixture>(
    fixture: &F,
    store: &F::Store,
    consumer: &str,
    message: &ReceivedMessage,
) -> Result<Claim, Error> {
    let mut tx = store.begin().await?;
    let claim = store.claim(&mut tx, consumer, &[request(message)]).await?[0];
    tokio::time::sleep(Duration::from_millis(10)).await;
    if claim == Claim::Fresh {
        fixture.effect(&mut tx, message.id.as_str()).await;
    }
    store.commit(tx).await?;
    Ok(claim)
}

/// One of several transactions that claim the same message at the same time applies it.
pub async fn concurrent_claims_yield_one_fresh<F: StoreFixture>(fixture: &F) {
    let (consumer, message) = (unique("consumer"), received("orders.order", "{}"));
    let rivals: Vec<_> = (0..4)
        .map(|_| {
            let (fixture, consumer, message) = (fixture.clone(), consumer.clone(), message.clone());
            tokio::spawn(async move {
                let store = fixture.store();
                until_through(|| handle_slowly(&fixture, &store, &consumer, &message)).await
            })
        })
        .collect();
    let mut claims = Vec::new();
    for rival in rivals {
        claims.push(rival.await.expect("a rival ends"));
    }
    let fresh = claims.iter().filter(|claim| **claim == Claim::Fresh).count();
    assert_eq!((fresh, fixture.effects(message.id.as_str()).await), (1, 1), "{claims:?}");
}

/// A process that waits for an open claim gets the message when that claim is rolled back.
pub async fn a_rival_is_fresh_after_a_rollback<F: StoreFixture>(fixture: &F) {
    let (consumer, message) = (unique("consumer"), received("orders.order", "{}"));
    let store = fixture.store();
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    let rival = {
        let (fixture, consumer, message) = (fixture.clone(), consumer.clone(), message.clone());
        tokio::spawn(async move {
            let store = fixture.store();
            until_through(|| handle_slowly(&fixture, &store, &consumer, &message)).await
        })
    };
    tokio::time::sleep(Duration::from_millis(30)).await;
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(rival.await.expect("the rival ends"), Claim::Fresh);
    assert_eq!(fixture.effects(message.id.as_str()).await, 1);
}

/// A claim that is rolled back or dropped leaves no trace.
pub async fn rolled_back_claim_is_fresh_again<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    drop(tx);
    let again = async || {
        let mut tx = store.begin().await?;
        let claims = store.claim(&mut tx, &consumer, &[request(&message)]).await?;
        store.rollback(tx).await?;
        Ok(claims[0])
    };
    assert_eq!(until_through(again).await, Claim::Fresh);
}

/// A batch with two copies of a message runs its handler once.
pub async fn second_copy_in_one_batch_is_not_fresh<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let all = messages(3);
    let batch = [&all[0], &all[1], &all[0], &all[2], &all[1], &all[0]];
    let mut tx = begin(&store).await;
    let claims = claim_in(&store, &mut tx, &consumer, &batch).await;
    let fresh: Vec<usize> = (0..batch.len()).filter(|index| claims[*index] == Claim::Fresh).collect();
    assert_eq!(fresh, [0, 1, 3], "{claims:?}");
    commit(&store, tx).await;
}

/// A range may begin or end between two copies of a message. The copy inside it is fresh, whatever the others are.
pub async fn copy_in_a_range_is_fresh_beside_one_outside<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    claim_now(&store, &consumer, &message).await;
    let copies = [0, 2, 0, 2].map(|generation| ClaimRequest { generation, ..request(&message) });
    let mut tx = begin(&store).await;
    let answers = store.claim(&mut tx, &consumer, &copies).await.expect("claims are answered");
    assert_eq!(answers, [Claim::Done, Claim::Fresh, Claim::Done, Claim::Done]);
    commit(&store, tx).await;
}

/// A claim sees the claims of its own transaction.
pub async fn second_claim_in_one_transaction_is_not_fresh<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    assert_ne!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    commit(&store, tx).await;
}

async fn unclaim<S: Markers>(store: &S, tx: &mut S::Tx, consumer: &str, of: &[&ReceivedMessage]) {
    let requests: Vec<ClaimRequest> = of.iter().map(|received| request(received)).collect();
    store.unclaim(tx, consumer, &requests).await.expect("claims can be taken back");
}

/// An unclaimed message commits as if it had never been claimed.
pub async fn unclaimed_is_fresh_again<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    unclaim(&store, &mut tx, &consumer, &[&message]).await;
    commit(&store, tx).await;
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Fresh);
}

/// Unclaiming some messages leaves the other claims of the transaction.
pub async fn unclaim_keeps_the_other_claims<F: StoreFixture>(fixture: &F) {
    let (store, consumer, all) = (fixture.store(), unique("consumer"), messages(4));
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &all.iter().collect::<Vec<_>>()).await;
    unclaim(&store, &mut tx, &consumer, &[&all[2], &all[3]]).await;
    commit(&store, tx).await;
    let mut answers = Vec::new();
    for message in &all {
        answers.push(look(&store, &consumer, message).await);
    }
    assert_eq!(answers, [Claim::Done, Claim::Done, Claim::Fresh, Claim::Fresh]);
}

/// Unclaiming affects only claims of the same transaction and the same consumer.
pub async fn unclaim_touches_no_earlier_claim<F: StoreFixture>(fixture: &F) {
    let (store, message) = (fixture.store(), received("orders.order", "{}"));
    let (consumer, other) = (unique("consumer"), unique("consumer"));
    claim_now(&store, &other, &message).await;
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    unclaim(&store, &mut tx, &consumer, &[&message]).await;
    commit(&store, tx).await;
    assert_eq!(look(&store, &other, &message).await, Claim::Done);
}

/// A message was applied before its range was claimed again. Unclaiming restores that state: an owner that knows no
/// range would apply it a second time.
pub async fn unclaimed_range_is_done_as_it_was<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    claim_now(&store, &consumer, &message).await;
    let again = [ClaimRequest { generation: 2, ..request(&message) }];
    let mut tx = begin(&store).await;
    assert_eq!(store.claim(&mut tx, &consumer, &again).await.expect("claims are answered"), [Claim::Fresh]);
    store.unclaim(&mut tx, &consumer, &again).await.expect("claims can be taken back");
    commit(&store, tx).await;
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done, "without a range");
    let mut tx = begin(&store).await;
    assert_eq!(store.claim(&mut tx, &consumer, &again).await.expect("claims are answered"), [Claim::Fresh]);
    commit(&store, tx).await;
}

/// Answers are in the order of the requests, whatever the order of the ids.
pub async fn claims_answer_in_input_order<F: StoreFixture>(fixture: &F) {
    let (store, consumer, mut all) = (fixture.store(), unique("consumer"), messages(12));
    fastrand::Rng::with_seed(3).shuffle(&mut all);
    let done = [1, 2, 6, 11];
    for index in done {
        claim_now(&store, &consumer, &all[index]).await;
    }
    let mut tx = begin(&store).await;
    let claims = claim_in(&store, &mut tx, &consumer, &all.iter().collect::<Vec<_>>()).await;
    commit(&store, tx).await;
    let expected: Vec<Claim> =
        (0..12).map(|index| if done.contains(&index) { Claim::Done } else { Claim::Fresh }).collect();
    assert_eq!(claims, expected);
}

/// A batch may be far larger than the default. An empty batch has an empty answer.
pub async fn claims_come_in_large_batches<F: StoreFixture>(fixture: &F) {
    let (store, consumer, all) = (fixture.store(), unique("consumer"), messages(1_000));
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[]).await, []);
    let claims = claim_in(&store, &mut tx, &consumer, &all.iter().collect::<Vec<_>>()).await;
    assert_eq!(claims, vec![Claim::Fresh; all.len()]);
    commit(&store, tx).await;
    assert_eq!(look(&store, &consumer, &all[999]).await, Claim::Done);
}

/// Ids are compared byte by byte: case, spaces and composed characters make a different message.
pub async fn ids_differ_by_every_byte<F: StoreFixture>(fixture: &F) {
    let (store, consumer, base) = (fixture.store(), unique("consumer"), unique("id"));
    let mut ids = vec![format!("{base}-a"), format!("{base}-A"), format!("{base}-a "), format!(" {base}-a")];
    ids.extend([
        format!("{base}-\u{e9}"),
        format!("{base}-e\u{301}"),
        format!("{base}-%"),
        format!("{base}-'"),
    ]);
    ids.push("x".repeat(MessageId::MAX_BYTES - base.len()) + &base);
    for id in ids {
        let mut message = received("orders.order", "{}");
        message.id = MessageId::from_stored(&id);
        assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Fresh, "{id:?}");
        assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Done, "{id:?}");
    }
}

/// Marker and row commit together or not at all.
pub async fn effects_and_marker_share_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    for keep in [false, false, true, true] {
        let mut tx = begin(&store).await;
        if claim_in(&store, &mut tx, &consumer, &[&message]).await == [Claim::Fresh] {
            fixture.effect(&mut tx, message.id.as_str()).await;
        }
        if keep {
            commit(&store, tx).await;
        } else {
            store.rollback(tx).await.expect("a transaction can be rolled back");
        }
    }
    assert_eq!(fixture.effects(message.id.as_str()).await, 1);
}
