//! Messages that a program hands to a consumer by itself, without a source.

use std::num::NonZeroU32;

use messagekit::adapter::FailureKind;
use messagekit::{Delivered, ErrorKind, Message, OnFailure};
use messagekit_memory::Failpoint;

use crate::fixture::{Action, World, placed};

fn kind(delivered: &Delivered) -> Option<FailureKind> {
    delivered.failure().map(|failure| failure.kind)
}

#[tokio::test(start_paused = true)]
async fn delivered_message_is_applied_once() {
    let world = World::new(1);
    let billing = world.billing().build().unwrap();
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Handled);
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Duplicate);
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!((billing.stats().read().handled, billing.stats().read().duplicates), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn deliveries_of_one_consumer_run_side_by_side() {
    let world = World::new(1);
    let billing = std::sync::Arc::new(world.billing().build().unwrap());
    let deliveries = (1..=20).map(|n| {
        let billing = billing.clone();
        tokio::spawn(async move { billing.deliver(placed("a", n)).await })
    });
    for delivery in deliveries.collect::<Vec<_>>() {
        assert_eq!(delivery.await.unwrap().unwrap(), Delivered::Handled);
    }
    assert_eq!(world.applied().len(), 20);
}

#[tokio::test(start_paused = true)]
async fn delivered_message_that_fails_is_kept_and_retried() {
    let world = World::new(1);
    world.script.always("a-1", Action::Fail);
    let billing = world.billing().build().unwrap();
    let delivered = billing.deliver(placed("a", 1)).await.unwrap();
    assert!(delivered.is_settled());
    assert_eq!(kind(&delivered), Some(FailureKind::Failed));
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Duplicate, "it is kept");

    world.script.heal();
    tokio::time::advance(std::time::Duration::from_secs(2)).await;
    world.push("b", 1).await;
    billing.run_until_idle().await.unwrap();
    assert_eq!(world.applied().len(), 2, "a run of the consumer retries it: {:?}", world.applied());
}

#[tokio::test(start_paused = true)]
async fn delivered_message_waits_for_its_dependency() {
    let world = World::new(1);
    world.script.always("a-1", Action::Unavailable);
    let billing = world.billing().build().unwrap();
    let delivered = billing.deliver(placed("a", 1)).await.unwrap();
    assert_eq!((delivered.is_settled(), kind(&delivered)), (false, Some(FailureKind::Unavailable)));
    assert_eq!(world.failed_messages_now(), 0);
    world.script.heal();
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Handled);
}

#[tokio::test(start_paused = true)]
async fn delivered_message_under_block_is_kept_nowhere() {
    let world = World::new(1);
    world.script.always("a-1", Action::Fail);
    let billing = world.billing().on_failure(OnFailure::Block).build().unwrap();
    let delivered = billing.deliver(placed("a", 1)).await.unwrap();
    assert_eq!((delivered.is_settled(), kind(&delivered)), (false, Some(FailureKind::Failed)));
    assert_eq!(world.failed_messages_now(), 0);
}

#[tokio::test(start_paused = true)]
async fn last_attempt_of_a_delivered_message_is_dead() {
    let world = World::new(1);
    world.script.always("a-1", Action::Fail);
    let billing = world.billing().attempts(NonZeroU32::new(3).unwrap()).build().unwrap();
    let delivered = billing.deliver_attempt(placed("a", 1), 3).await.unwrap();
    assert_eq!(kind(&delivered), Some(FailureKind::Failed));
    assert_eq!(world.script.attempts_of("a-1"), [3]);
    assert_eq!(billing.stats().read().dead, 1);
}

#[tokio::test(start_paused = true)]
async fn delivered_message_without_a_handler_is_ignored() {
    let world = World::new(1);
    let billing = world.billing().build().unwrap();
    let other = Message::new("orders.order", r#"{"eventId":"x-1","eventType":"orders.order.cancelled"}"#);
    assert_eq!(billing.deliver(other).await.unwrap(), Delivered::Ignored);
    let unreadable = billing.deliver(Message::new("orders.order", "{}")).await.unwrap();
    assert_eq!(kind(&unreadable), Some(FailureKind::MissingId));
}

#[tokio::test(start_paused = true)]
async fn lost_answer_of_a_delivered_message_is_an_outage() {
    let world = World::new(1);
    let billing = world.billing().build().unwrap();
    world.store.fail_next(Failpoint::CommitUnknownKept, ErrorKind::OutcomeUnknown);
    let lost = billing.deliver(placed("a", 1)).await.unwrap_err();
    assert!(lost.is_transient(), "{lost}");
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Duplicate);
    world.store.fail_next(Failpoint::Commit, ErrorKind::Conflict);
    assert_eq!(
        billing.deliver(placed("a", 2)).await.unwrap(),
        Delivered::Handled,
        "a conflict runs it again"
    );
    assert_eq!(world.applied(), ["a-1", "a-2"]);
}
