//! State after a bookkeeper is killed, and its recovery.

use messagekit::headers;
use messagekit::operations::FailedMessageState;

use crate::fixture::{Answer, DEAD, World, pass, rejected, until};

#[tokio::test(start_paused = true)]
async fn a_bookkeeper_killed_before_its_ack_records_each_message_once() {
    let world = World::new();
    for n in 1..=20 {
        world.dies(rejected(&format!("m-{n}"), "billing")).await;
    }
    // Killed at a different moment each time: before, during and after the transaction.
    for _ in 0..20 {
        let bookkeeper = world.keep_queue();
        for _ in 0..fastrand::u32(0..40) {
            tokio::task::yield_now().await;
        }
        bookkeeper.kill().await;
        world.broker.log.redeliver("bookkeeper.queues");
    }
    let bookkeeper = world.keep_queue();
    until(async || world.broker.log.committed("bookkeeper.queues", DEAD, 0) == 20).await;
    assert_eq!(world.failed_messages().await.len(), 20);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn crash_between_confirm_and_commit_redelivers_the_same_message() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing")).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await.id;
    world.next([Answer::TakeAndStaySilent]);
    world.retry(failed_message).await;
    until(async || world.queue("billing").len() == 1).await;
    bookkeeper.kill().await;
    assert_eq!(
        world.failed_message().await.state,
        FailedMessageState::RetryRequested,
        "it is on its way for all the database knows"
    );

    let bookkeeper = world.keep_queue();
    world.until_state(failed_message, FailedMessageState::Resolved).await;
    let sent = world.queue("billing");
    assert_eq!(sent.len(), 2);
    assert_eq!(sent[0], sent[1], "the same id, headers and bytes: consumers apply it once");
    assert_eq!(sent[0].headers.text(headers::RETURNS), Some("1"));
    pass(600).await;
    assert_eq!(world.queue("billing").len(), 2);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_what_is_on_its_way() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing")).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await.id;
    world.next([Answer::TakeAndWait]);
    world.retry(failed_message).await;
    until(async || world.queue("billing").len() == 1).await;
    let stopping = tokio::spawn(bookkeeper.stop());
    pass(5).await;
    assert!(!stopping.is_finished());
    world.broker.allowed.add_permits(1);
    stopping.await.expect("a clean stop");
    assert_eq!(world.failed_message().await.state, FailedMessageState::Resolved);
}
