//! Redelivery at an operator's request.

use messagekit::adapter::PublishErrorKind;
use messagekit::operations::{Action, ActionResult, FailedMessageState};
use messagekit::{ErrorKind, Message, headers};
use messagekit_memory::Failpoint;

use crate::fixture::{Answer, DEAD, Running, World, pass, rejected, until};

/// Creates a world with one failed message from queue `billing`, and returns its number.
async fn world_with_a_failed_message() -> (World, Running, i64) {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing")).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await.id;
    (world, bookkeeper, failed_message)
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_goes_back_to_its_queue_as_it_came() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    world.retry(failed_message).await;
    world.until_state(failed_message, FailedMessageState::Resolved).await;
    let mut as_it_came = rejected("m-1", "billing").with_header(headers::RETURNS, "1");
    as_it_came.headers.remove(headers::X_DEATH);
    as_it_came.topic = "billing".into();
    assert_eq!(world.queue("billing"), [as_it_came]);
    assert_eq!(bookkeeper.stats.read().returned, 1);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn redelivery_to_a_retry_topic_drops_the_death_headers() {
    let world = World::new();
    let bookkeeper = world.keep_topic();
    let original = Message::new(DEAD, "not json")
        .with_key("k")
        .with_header(headers::ID, "m-1")
        .with_header(headers::SOURCE_TOPIC, "orders.order");
    let dead = [
        (headers::DEAD_KIND, "too_large"),
        (headers::DEAD_ERROR, "payload of 9 bytes"),
        (headers::DEAD_BY, "bridge"),
        (headers::RETRY_TOPIC, "bridge.retry"),
    ];
    let dead =
        dead.into_iter().fold(original.clone(), |message, (name, value)| message.with_header(name, value));
    world.dies(dead).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await;
    assert_eq!(
        (&*failed_message.kind, failed_message.return_to.as_deref()),
        ("too_large", Some("bridge.retry"))
    );
    world.retry(failed_message.id).await;
    world.until_state(failed_message.id, FailedMessageState::Resolved).await;
    let expected = Message { topic: "bridge.retry".into(), ..original.with_header(headers::RETURNS, "1") };
    assert_eq!(world.queue("bridge.retry"), [expected]);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn death_after_redelivery_is_a_new_failed_message_with_history() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    let mut failed_message = failed_message;
    for round in 1..=3 {
        world.retry(failed_message).await;
        world.until_state(failed_message, FailedMessageState::Resolved).await;
        // The consumer rejects it once more, and RabbitMQ adds its death headers.
        let returned = world.queue("billing").pop().expect("it came back");
        let account = rejected("m-1", "billing").headers.get(headers::X_DEATH).cloned().expect("an account");
        world.dies(Message { topic: DEAD.into(), ..returned.with_header(headers::X_DEATH, account) }).await;
        world.until_failed_messages(round + 1).await;
        let newest = world.failed_messages().await.pop().expect("a failed message");
        assert_eq!(newest.message_id.as_str(), format!("m-1+{round}"));
        assert!(newest.error.ends_with(&format!("; sent back {round} times before")), "{}", newest.error);
        failed_message = newest.id;
    }
    // Without another retry it stays in its queue.
    pass(600).await;
    assert_eq!((world.failed_messages().await.len(), world.queue("billing").len()), (4, 3));
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_second_click_sends_nothing() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    let (first, second) =
        tokio::join!(world.act(Action::Retry, failed_message), world.act(Action::Retry, failed_message));
    let done = [first, second].into_iter().filter(|acted| *acted == ActionResult::Done).count();
    assert_eq!(done, 1, "{first:?} {second:?}");
    world.until_state(failed_message, FailedMessageState::Resolved).await;
    assert_eq!(
        world.act(Action::Retry, failed_message).await,
        ActionResult::WrongState(FailedMessageState::Resolved)
    );
    pass(600).await;
    assert_eq!(world.queue("billing").len(), 1);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn of_two_bookkeepers_one_sends_a_failed_message() {
    let (world, bookkeeper, _) = world_with_a_failed_message().await;
    let other = world.keep_queue();
    for n in 2..=200 {
        world.dies(rejected(&format!("m-{n}"), "billing")).await;
    }
    world.until_failed_messages(200).await;
    for failed_message in world.failed_messages().await {
        world.retry(failed_message.id).await;
    }
    until(async || {
        world
            .failed_messages()
            .await
            .iter()
            .all(|failed_message| failed_message.state == FailedMessageState::Resolved)
    })
    .await;
    pass(600).await;
    let mut sent: Vec<_> =
        world.queue("billing").iter().map(|m| m.headers.get(headers::ID).cloned()).collect();
    assert_eq!(sent.len(), 200);
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), 200);
    bookkeeper.stop().await;
    other.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_broker_burns_nothing() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    world.next([Answer::Refuse(PublishErrorKind::Unavailable, ErrorKind::Unavailable); 30]);
    world.next([Answer::Refuse(PublishErrorKind::KeyBlocked, ErrorKind::Unavailable)]);
    world.next([Answer::Refuse(PublishErrorKind::Unknown, ErrorKind::OutcomeUnknown)]);
    world.retry(failed_message).await;
    world.until_state(failed_message, FailedMessageState::Resolved).await;
    assert_eq!((world.answers_left(), world.queue("billing").len()), (0, 1));
    let resolved = world.failed_message().await;
    assert_eq!((resolved.attempts, resolved.crash_count), (0, 0));
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_refused_redelivery_is_dead_with_the_reason() {
    for (kind, word) in [
        (ErrorKind::NotFound, "unroutable"),
        (ErrorKind::TooLarge, "too_large"),
        (ErrorKind::Other, "failed"),
    ] {
        let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
        world.next([Answer::Refuse(PublishErrorKind::Rejected, kind)]);
        world.retry(failed_message).await;
        until(async || bookkeeper.stats.read().refused == 1).await;
        let dead = world.failed_message().await;
        assert_eq!((dead.state, &*dead.kind), (FailedMessageState::Dead, word));
        assert_eq!(dead.error, "queue billing did not take it back: the broker said no");
        // The queue is declared again, and an operator retries again.
        world.retry(failed_message).await;
        world.until_state(failed_message, FailedMessageState::Resolved).await;
        assert_eq!(world.queue("billing").len(), 1);
        bookkeeper.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_without_a_way_back_says_so() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    world.dies(Message::new(DEAD, "{}").with_header(headers::ID, "m-1")).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await.id;
    let refused = world
        .act(Action::Retry, failed_message)
        .await
        .done(Action::Retry, failed_message)
        .expect_err("no way back");
    assert_eq!(refused.kind(), ErrorKind::WrongState);
    assert_eq!(world.act(Action::Discard, failed_message).await, ActionResult::Done);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn discarded_message_is_redelivered_only_after_undo() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    assert_eq!(world.act(Action::Discard, failed_message).await, ActionResult::Done);
    assert_eq!(
        world.act(Action::Retry, failed_message).await,
        ActionResult::WrongState(FailedMessageState::Discarded)
    );
    // A late copy of the same dead letter does not reopen it.
    world.dies(rejected("m-1", "billing")).await;
    pass(600).await;
    assert_eq!(
        (world.failed_message().await.state, world.queue("billing").len()),
        (FailedMessageState::Discarded, 0)
    );
    assert_eq!(world.act(Action::Undo, failed_message).await, ActionResult::Done);
    world.retry(failed_message).await;
    world.until_state(failed_message, FailedMessageState::Resolved).await;
    assert_eq!(world.queue("billing").len(), 1);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_discarded_on_its_way_stays_discarded() {
    let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
    world.next([Answer::TakeAndWait]);
    world.retry(failed_message).await;
    until(async || world.queue("billing").len() == 1).await;
    assert_eq!(world.act(Action::Discard, failed_message).await, ActionResult::Done);
    world.broker.allowed.add_permits(1);
    pass(600).await;
    assert_eq!(
        (world.failed_message().await.state, world.queue("billing").len()),
        (FailedMessageState::Discarded, 1)
    );
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_database_outage_after_the_confirm_redelivers_nothing_twice() {
    for failpoint in [Failpoint::Begin, Failpoint::Resolve, Failpoint::Commit] {
        let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
        world.next([Answer::TakeAndWait]);
        world.retry(failed_message).await;
        until(async || world.queue("billing").len() == 1).await;
        for _ in 0..5 {
            world.store.fail_next(failpoint, ErrorKind::Unavailable);
        }
        world.broker.allowed.add_permits(1);
        world.until_state(failed_message, FailedMessageState::Resolved).await;
        pass(600).await;
        assert_eq!(world.queue("billing").len(), 1, "{failpoint:?}");
        bookkeeper.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_commit_sends_nothing_twice() {
    for failpoint in [Failpoint::CommitUnknownKept, Failpoint::CommitUnknownLost] {
        let (world, bookkeeper, failed_message) = world_with_a_failed_message().await;
        world.next([Answer::TakeAndWait]);
        world.retry(failed_message).await;
        until(async || world.queue("billing").len() == 1).await;
        world.store.fail_next(failpoint, ErrorKind::OutcomeUnknown);
        world.broker.allowed.add_permits(1);
        world.until_state(failed_message, FailedMessageState::Resolved).await;
        pass(600).await;
        assert_eq!(world.queue("billing").len(), 1, "{failpoint:?}");
        bookkeeper.stop().await;
    }
}
