//! Failures that no handler reports: the cause of a failed transaction is found, and no other message is affected.

use std::collections::BTreeSet;
use std::sync::Arc;

use messagekit::adapter::OutboxRows;
use messagekit::{Consumer, Envelope, ErrorKind, HandlerError, Message, OnFailure};
use messagekit_memory::{Failpoint, MemoryStore, MemoryTx};

use crate::fixture::{Action, CONSUMER, Placed, World, names, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};

/// Writes numbers, which never fails: only the commit reveals a swallowed error.
async fn quiet(
    culprits: &BTreeSet<String>,
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    tx.add(event.event_id.to_string(), 1);
    if culprits.contains(event.event_id.as_str()) {
        tx.poison();
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn bisection_finds_a_swallowed_error_that_fails_the_commit() {
    let world = World::new(1);
    world.push_all("a", 50).await;
    let culprits = Arc::new(BTreeSet::from(["a-7".to_owned(), "a-31".to_owned()]));
    let builder = Consumer::builder(CONSUMER, world.store.clone())
        .from(world.topics())
        .on_failure(OnFailure::DeadLetter);
    let consumer = start(builder.on_with(culprits.clone(), quiet));
    until(|| world.committed(0) == 50).await;

    for id in names("a", 50) {
        assert_eq!(world.store.get(&id), i64::from(!culprits.contains(&id)), "{id}");
    }
    let failed_messages = world.failed_messages().await;
    let set_apart: Vec<&str> =
        failed_messages.iter().map(|failed_message| failed_message.received.id.as_str()).collect();
    assert_eq!(set_apart, ["a-7", "a-31"]);
    consumer.stop().await;
}

/// Returns every database error as permanent, as some handlers do.
async fn impatient(
    (store, culprit): &(MemoryStore, String),
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    if id == *culprit {
        tx.poison();
        return Ok(());
    }
    store.write(tx, &[Message::new("applied", id)]).await.map_err(HandlerError::permanent)
}

#[tokio::test(start_paused = true)]
async fn neighbour_failing_on_an_ended_transaction_is_not_blamed() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone())
        .from(world.topics())
        .on_failure(OnFailure::DeadLetter);
    let consumer = start(builder.on_with(Arc::new((world.store.clone(), "a-2".to_owned())), impatient));
    until(|| world.committed(0) == 4).await;
    assert_eq!(world.applied(), ["a-1", "a-3", "a-4"]);
    assert_eq!(world.failed_messages().await.len(), 1);
    assert_eq!(world.failed_message("a-2").await.kind, "transaction");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_timeout_of_the_store_is_charged_to_no_message() {
    for call in [Call::Claim, Call::SetAside] {
        let world = World::new(1);
        world.push_all("a", 8).await;
        names("a", 8).iter().for_each(|id| world.script.always(id, Action::Permanent));
        let flaky = Flaky::new(&world.store);
        flaky.fail(call, ErrorKind::TransactionTimeout);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        pass(seconds(1)).await;
        flaky.heal();
        until(|| world.committed(0) == 8).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.handled, stats.dead), (0, 8), "{call:?}");
        assert!(
            world.failed_messages().await.iter().all(|failed_message| failed_message.kind == "permanent")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn message_exceeding_the_transaction_timeout_alone_fails() {
    for culprit in ["a-1", "a-4", "a-8"] {
        let world = World::new(1);
        world.push_all("a", 8).await;
        world.script.always(culprit, Action::TransactionTimeout);
        let consumer = start(world.billing());
        until(|| world.committed(0) == 8).await;
        let good: Vec<String> = names("a", 8).into_iter().filter(|id| id != culprit).collect();
        assert_eq!(world.applied(), good);
        assert_eq!(world.failed_messages().await.len(), 1);
        let failed_message = world.failed_message(culprit).await;
        assert_eq!((&*failed_message.kind, failed_message.attempts), ("transaction", 1));
        consumer.stop().await;
    }
}

/// The machine was suspended during a handler run, or during the commit.
#[tokio::test(start_paused = true)]
async fn single_transaction_timeout_burns_no_attempt() {
    for culprit in [Some("a-1"), Some("a-4"), Some("a-8"), None] {
        let world = World::new(1);
        world.push_all("a", 8).await;
        match culprit {
            Some(culprit) => world.script.next(culprit, [Action::TransactionTimeout]),
            None => world.store.fail_next(Failpoint::Commit, ErrorKind::TransactionTimeout),
        }
        let consumer = start(world.billing());
        until(|| world.committed(0) == 8).await;
        assert_eq!(world.applied(), names("a", 8), "{culprit:?}");
        assert_eq!(world.failed_messages().await.len(), 0);
        assert!(world.script.runs().iter().all(|run| run.attempt == 1));
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_over_the_transaction_timeout_blocks_under_block() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.always("a-3", Action::TransactionTimeout);
    let consumer = start(world.billing().on_failure(OnFailure::Block));
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-1", "a-2"]);
    world.script.heal();
    until(|| world.applied().len() == 4).await;
    assert_eq!((world.applied(), world.failed_messages().await.len()), (names("a", 4), 0));
    consumer.stop().await;
}
