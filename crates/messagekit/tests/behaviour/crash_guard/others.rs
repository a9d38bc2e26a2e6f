//! A message in flight in several processes is not a poison message before their time limit ends.

use messagekit::adapter::{Attempts, FullInbox};
use messagekit::{Claim, ErrorKind, MessageId, OnFailure, Store, claim};
use messagekit_memory::MemoryTx;

use super::{after_a_death, message_attempts};
use crate::fixture::{Action, CONSUMER, Running, TOPIC, World, id, names, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};

/// Other processes that handle a copy of a message.
struct Others {
    message: MessageId,
    names: [&'static str; 5],
}

impl Others {
    /// Starts as many in-flight attempts as crashes make a message dead.
    async fn begin(world: &World, key: &str) -> Self {
        let message = id(&format!("{key}-1"));
        let names = ["first", "second", "third", "fourth", "fifth"];
        for name in names {
            world.store.begin_attempt(CONSUMER, &message, name).await.expect("the attempt is recorded");
        }
        Self { message, names }
    }

    async fn withdraw_attempt(&self, world: &World) {
        for name in self.names {
            world
                .store
                .withdraw_attempt(CONSUMER, &self.message, name)
                .await
                .expect("the attempt is withdrawn");
        }
    }

    /// One of the processes finishes the message.
    async fn finish(&self, world: &World) {
        let mut tx = world.store.begin().await.expect("a transaction");
        claim(&world.store, &mut tx, CONSUMER, &self.message).await.expect("a claim");
        world.store.clear_attempts(&mut tx, CONSUMER, &self.message).await.expect("the attempts are cleared");
        world.store.commit(tx).await.expect("a commit");
    }
}

/// Starts a consumer with a handler deadline of a minute: other processes get slightly more than twice that time.
fn patient<S: FullInbox<Tx = MemoryTx>>(world: &World, store: S) -> Running {
    start(world.consumer_on(CONSUMER, store).deadline(seconds(60)).on_failure(OnFailure::DeadLetter))
}

#[tokio::test(start_paused = true)]
async fn message_in_flight_elsewhere_is_not_poison_before_its_time() {
    for answered in [true, false] {
        let world = after_a_death(1).await;
        world.push("a", 1).await;
        world.push("b", 1).await;
        let others = Others::begin(&world, "a").await;
        let consumer = patient(&world, world.store.clone());
        pass(seconds(100)).await;
        assert_eq!(
            (world.script.runs().len(), world.failed_messages().await.len()),
            (0, 0),
            "it waits for their answer"
        );
        assert_eq!(message_attempts(&world), [(id("a-1"), 5)], "and has withdrawn its own attempt");
        if answered {
            others.finish(&world).await;
        } else {
            others.withdraw_attempt(&world).await;
        }
        until(|| world.marker("b-1") == Some(Claim::Done)).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.dead, stats.duplicates), (0, u64::from(answered)));
        assert_eq!(world.marker("a-1"), Some(Claim::Done));
        assert_eq!(message_attempts(&world), []);
    }
}

#[tokio::test(start_paused = true)]
async fn attempts_that_never_end_make_a_poison_message_in_time() {
    let world = after_a_death(1).await;
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(120)).await;
    assert_eq!(world.failed_messages().await.len(), 0);
    pass(seconds(20)).await;
    assert_eq!(&*world.failed_message("a-1").await.kind, "poison_message");
    assert_eq!((world.script.runs().len(), consumer.stop().await.dead), (0, 1));
    assert_eq!(message_attempts(&world), []);
}

/// A process cannot finish its attempt during an outage of the database.
#[tokio::test(start_paused = true)]
async fn an_outage_gives_those_who_handle_a_message_their_time_again() {
    let world = after_a_death(1).await;
    world.push("a", 1).await;
    let others = Others::begin(&world, "a").await;
    let flaky = Flaky::new(&world.store);
    let consumer = patient(&world, flaky.clone());
    pass(seconds(100)).await;
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    flaky.fail(Call::BeginAttempt, ErrorKind::Unavailable);
    pass(seconds(600)).await;
    flaky.heal();
    pass(seconds(100)).await;
    assert_eq!(world.failed_messages().await.len(), 0);
    others.withdraw_attempt(&world).await;
    until(|| world.applied().len() == 1).await;
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_others_have_time_leaves_their_attempts_alone() {
    let world = after_a_death(1).await;
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(50)).await;
    consumer.stop().await;
    assert_eq!(message_attempts(&world), [(id("a-1"), 5)]);
    assert_eq!(world.failed_messages().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_lanes_go_on_while_one_waits_for_the_answer_of_others() {
    let world = after_a_death(2).await;
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(5)).await;
    for key in ["b", "c", "d", "e"] {
        world.push_all(key, 20).await;
        names(key, 20).iter().for_each(|id| world.script.always(id, Action::Take(seconds(1))));
    }
    let waits = world.partition_of("a-1");
    let beside = world.log.records(TOPIC).iter().filter(|record| record.position.partition != waits).count();
    assert!(beside >= 20, "{beside}");
    pass(seconds(110)).await;
    assert_eq!((world.applied().len(), world.failed_messages().await.len()), (beside, 0));
    consumer.kill().await;
}
