//! Observers of a consumer: they see what became of each message, after its commit.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use messagekit::adapter::{Next, ReceivedMessage};
use messagekit::{Delivered, ErrorKind, Message, OnFailure, headers};
use messagekit_memory::Failpoint;

use crate::fixture::{Action, Builder, TOPIC, World, names, pass, placed, seconds, start, until};

/// What was seen, as lines of a message and a word.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn by(&self, consumer: Builder) -> Builder {
        let seen = self.clone();
        consumer.observe(move |received, outcome| seen.note(received, outcome))
    }

    fn note(&self, received: &ReceivedMessage, outcome: &Delivered) {
        let word = match outcome {
            Delivered::Handled => "handled",
            Delivered::Duplicate => "duplicate",
            Delivered::Ignored => "ignored",
            Delivered::Parked => "parked",
            Delivered::Failed(failure) if failure.next == Next::Dead => "dead",
            Delivered::Failed(_) => "failed",
            other => panic!("{other:?} is no outcome"),
        };
        self.0.lock().expect("seen").push(format!("{} {word}", received.id));
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().expect("seen").clone()
    }
}

#[tokio::test(start_paused = true)]
async fn each_outcome_is_seen_once_and_in_order() {
    let (world, seen) = (World::new(1), Seen::default());
    world.script.next("a-2", [Action::Fail]);
    world.script.always("b-1", Action::Permanent);
    let unknown = Message::new(TOPIC, "{}").with_header(headers::ID, "x-1");
    let unknown = unknown.with_header(headers::EVENT_TYPE, "orders.order.vanished");
    world.publish_all(&[placed("a", 1), placed("a", 1), placed("a", 2), placed("b", 1), unknown]).await;
    let consumer = start(seen.by(world.billing()));
    until(|| consumer.read().handled == 2).await;
    let stats = consumer.stop().await;
    let ignored = "at:orders.order/0/4 ignored";
    let expected = ["a-1 handled", "a-1 duplicate", "a-2 failed", "b-1 dead", ignored, "a-2 handled"];
    assert_eq!(seen.lines(), expected, "what no handler takes is not parsed, and named by its position");
    assert_eq!(
        (stats.handled, stats.duplicates, stats.set_aside, stats.dead, stats.ignored),
        (2, 1, 1, 1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn parked_messages_are_seen_as_parked_and_as_handled_later() {
    let (world, seen) = (World::new(1), Seen::default());
    world.script.always("a-1", Action::Permanent);
    world.push_all("a", 3).await;
    let consumer = start(seen.by(world.billing().on_failure(OnFailure::ParkKey)));
    until(|| world.committed(0) == 3).await;
    assert_eq!(seen.lines(), ["a-1 dead", "a-2 parked", "a-3 parked"]);
    world.script.heal();
    world.retry(world.failed_message("a-1").await.id).await.unwrap();
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
    assert_eq!(seen.lines()[3..], ["a-1 handled", "a-2 handled", "a-3 handled"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_is_not_seen() {
    let (world, seen) = (World::new(1), Seen::default());
    // The batch with the culprit is rolled back, and parts of it run again.
    world.script.always("a-30", Action::Permanent);
    world.push_all("a", 40).await;
    world.store.fail_next(Failpoint::Commit, ErrorKind::Conflict);
    let consumer = start(seen.by(world.billing()));
    until(|| world.committed(0) == 40).await;
    let stats = consumer.stop().await;
    assert!(stats.rolled_back > 1 && world.script.runs().len() > 40, "{stats:?}");
    let expected = names("a", 40).into_iter().enumerate();
    let expected: Vec<String> = expected
        .map(|(index, name)| format!("{name} {}", if index == 29 { "dead" } else { "handled" }))
        .collect();
    assert_eq!(seen.lines(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_is_not_confirmed_is_seen_as_a_duplicate() {
    let (world, seen) = (World::new(1), Seen::default());
    world.store.fail_next(Failpoint::CommitUnknownKept, ErrorKind::OutcomeUnknown);
    world.push("a", 1).await;
    let consumer = start(seen.by(world.billing()));
    until(|| world.committed(0) == 1).await;
    consumer.stop().await;
    assert_eq!((world.applied(), seen.lines()), (names("a", 1), vec!["a-1 duplicate".to_owned()]));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_not_seen_while_it_waits() {
    let (world, seen) = (World::new(1), Seen::default());
    world.script.always("a-1", Action::Unavailable);
    world.push("a", 1).await;
    let consumer = start(seen.by(world.billing()));
    until(|| world.script.runs().len() > 2).await;
    assert_eq!(seen.lines(), [""; 0]);
    world.script.heal();
    until(|| world.applied().len() == 1).await;
    consumer.stop().await;
    assert_eq!(seen.lines(), ["a-1 handled"]);
}

#[tokio::test(start_paused = true)]
async fn failed_retries_are_seen_with_their_last_word() {
    let (world, seen) = (World::new(1), Seen::default());
    world.script.always("a-1", Action::Fail);
    world.push("a", 1).await;
    let consumer = start(seen.by(world.billing().attempts(NonZeroU32::new(3).unwrap())));
    until(|| consumer.read().dead == 1).await;
    consumer.stop().await;
    assert_eq!(seen.lines(), ["a-1 failed", "a-1 failed", "a-1 dead"]);
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_an_observer_costs_others_and_the_message_nothing() {
    let (world, seen) = (World::new(1), Seen::default());
    world.push_all("a", 3).await;
    // A panic without the output of the panic hook.
    let panics = |_: &ReceivedMessage, _: &Delivered| std::panic::resume_unwind(Box::new("boom"));
    let consumer = start(seen.by(world.billing().observe(panics)));
    until(|| world.committed(0) == 3).await;
    pass(seconds(1)).await;
    assert_eq!(consumer.stop().await.handled, 3);
    assert_eq!(seen.lines(), ["a-1 handled", "a-2 handled", "a-3 handled"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_seen_before_it_is_counted() {
    let (world, seen) = (World::new(1), Seen::default());
    let consumer = start(seen.by(world.billing()));
    world.push_all("a", 5).await;
    let stats = consumer.stats.wait_until(|stats| stats.handled == 5).await.unwrap();
    assert_eq!((stats.handled, seen.lines().len()), (5, 5));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_delivered_message_is_seen_too() {
    let (world, seen) = (World::new(1), Seen::default());
    let billing = seen.by(world.billing()).build().unwrap();
    assert_eq!(billing.deliver(placed("a", 1)).await.unwrap(), Delivered::Handled);
    let strange = Message::new(TOPIC, "no event");
    assert!(matches!(billing.deliver(strange).await.unwrap(), Delivered::Failed(_)));
    let seen = seen.lines();
    assert_eq!(seen[0], "a-1 handled");
    assert!(seen.len() == 2 && seen[1].ends_with(" dead"), "{seen:?}");
}
