//! A dead letter becomes one failed message.

use messagekit::adapter::OutboxRows;
use messagekit::operations::{FailedMessageState, Origin};
use messagekit::{ErrorKind, Message, Store, headers};
use messagekit_memory::Failpoint;

use crate::fixture::{DEAD, World, pass, rejected, until};

#[tokio::test(start_paused = true)]
async fn rejected_message_is_recorded_with_its_bytes_and_its_reason() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    let message = rejected("m-1", "billing");
    world.dies(message.clone()).await;
    world.until_failed_messages(1).await;
    let failed_message = world.failed_message().await;
    assert_eq!((failed_message.origin, failed_message.state), (Origin::Queue, FailedMessageState::Dead));
    assert_eq!(
        (&*failed_message.consumer, failed_message.return_to.as_deref()),
        ("queue:billing", Some("billing"))
    );
    assert_eq!(
        (&*failed_message.kind, &*failed_message.error),
        ("rejected", "rejected by a consumer of queue billing")
    );
    assert_eq!((failed_message.message_id.as_str(), &failed_message.received.message), ("m-1", &message));
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_death_found_twice_is_one_failed_message() {
    let world = World::new();
    let (first, second) = (world.keep_queue(), world.keep_queue());
    for _ in 0..3 {
        world.dies(rejected("m-1", "billing")).await;
    }
    until(async || world.broker.log.committed("bookkeeper.queues", DEAD, 0) == 3).await;
    assert_eq!(world.failed_messages().await.len(), 1);
    first.stop().await;
    second.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_event_that_died_in_two_queues_is_two_failed_messages() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing")).await;
    world.dies(rejected("m-1", "shipping")).await;
    world.until_failed_messages(2).await;
    let positions: Vec<_> = world
        .failed_messages()
        .await
        .into_iter()
        .map(|failed_message| failed_message.head.consumer)
        .collect();
    assert_eq!(positions, ["queue:billing", "queue:shipping"]);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn programs_with_one_dead_letter_topic_have_own_failed_messages() {
    let world = World::new();
    let bookkeeper = world.keep_topic();
    for by in ["bridge", "mailer"] {
        let message = Message::new(DEAD, "{}").with_header(headers::ID, "m-1");
        let message = message.with_header(headers::DEAD_KIND, "failed").with_header(headers::DEAD_BY, by);
        world.dies(message).await;
    }
    world.until_failed_messages(2).await;
    let positions: Vec<_> = world
        .failed_messages()
        .await
        .into_iter()
        .map(|failed_message| failed_message.head.consumer)
        .collect();
    assert_eq!(positions, ["topic:dead/bridge", "topic:dead/mailer"]);
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_has_no_id_no_type_and_no_sense_is_kept_too() {
    let world = World::new();
    let bookkeeper = world.keep_queue();
    let strange = [
        Message::new(DEAD, ""),
        Message::new(DEAD, &b"\xff\xfe\x00"[..]),
        Message::new(DEAD, "[1]").with_key(&b"\xff"[..]),
        Message::new(DEAD, "{}").with_header(headers::ID, ""),
        Message::new(DEAD, "{}").with_header(headers::X_DEATH, &b"\xff"[..]),
        Message::new(DEAD, r#"{"eventId":"m-2"}"#).with_header(headers::ID, "m-1"),
    ];
    for message in &strange {
        world.dies(message.clone()).await;
        world.dies(message.clone()).await;
    }
    world.until_failed_messages(strange.len()).await;
    until(async || world.broker.log.committed("bookkeeper.queues", DEAD, 0) == 12).await;
    let failed_messages = world.failed_messages().await;
    for (failed_message, message) in std::iter::zip(&failed_messages, &strange) {
        assert_eq!(&failed_message.received.message, message);
        assert!(failed_message.message_id.is_position(), "{}", failed_message.message_id);
    }
    assert_eq!(failed_messages.len(), strange.len());
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_outbox_learns_of_its_own_event_and_of_no_other() {
    let world = World::new();
    let mut tx = world.store.begin().await.expect("begin");
    let ours = Message::new("orders.order", r#"{"eventType":"orders.order.placed"}"#);
    world.store.write(&mut tx, &[ours.with_header(headers::ID, "m-1")]).await.expect("written");
    world.store.commit(tx).await.expect("committed");

    let bookkeeper = world.keep_queue();
    for id in ["m-1", "m-2"] {
        world.dies(rejected(id, "billing")).await;
    }
    world.until_failed_messages(2).await;
    let noted: Vec<_> = world.store.failures();
    assert_eq!(noted.len(), 1);
    let (id, scope, reason) = &noted[0];
    assert_eq!(
        (id.as_str(), &**scope, &**reason),
        ("m-1", "queue:billing", "rejected by a consumer of queue billing")
    );
    let counts = bookkeeper.stats.read();
    assert_eq!((counts.kept, counts.ours), (2, 1));
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn death_after_a_redelivery_counts_for_the_original_event() {
    let world = World::new();
    let mut tx = world.store.begin().await.expect("begin");
    let ours = Message::new("orders.order", r#"{"eventType":"orders.order.placed"}"#);
    world.store.write(&mut tx, &[ours.with_header(headers::ID, "m-1")]).await.expect("written");
    world.store.commit(tx).await.expect("committed");

    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing").with_header(headers::RETURNS, "2")).await;
    world.until_failed_messages(1).await;
    assert_eq!(world.failed_message().await.message_id.as_str(), "m-1+2");
    assert_eq!(world.store.failures()[0].0.as_str(), "m-1");
    bookkeeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_database_is_waited_for() {
    let world = World::new();
    for _ in 0..20 {
        world.store.fail_next(Failpoint::Commit, ErrorKind::Unavailable);
    }
    let bookkeeper = world.keep_queue();
    world.dies(rejected("m-1", "billing")).await;
    world.until_failed_messages(1).await;
    pass(60).await;
    assert_eq!(world.failed_message().await.consumer, "queue:billing");
    bookkeeper.stop().await;
}
