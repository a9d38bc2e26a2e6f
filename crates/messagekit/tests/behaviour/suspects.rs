//! A message that ends its process: it is dead after five deaths, and nobody else pays for it.

use std::time::Duration;

use messagekit::memory::{MemoryTx, TestGate};
use messagekit::{Claim, ErrorKind, Inbox, LetterState, OnFailure, Received, Store, Suspects, claim};

use crate::fixture::{
    Act, CONSUMER, Running, TOPIC, World, id, names, pass, placed, seconds, sorted, start, until,
};
use crate::flaky::{Call, Flaky};

/// Longer than the test looks: whoever runs it is killed meanwhile.
const FOR_EVER: Act = Act::Take(Duration::from_secs(100_000));

/// How long a handler may take.
const DEADLINE: Duration = Duration::from_secs(600);

fn consumer(world: &World, policy: OnFailure) -> Running {
    start(world.billing().deadline(DEADLINE).on_failure(policy))
}

/// Starts a process and ends it while the message is in its handler.
async fn dies_of(world: &World, killer: &str, policy: OnFailure) {
    let before = world.script.runs_of(killer).len();
    let victim = consumer(world, policy);
    until(|| world.script.runs_of(killer).len() > before).await;
    // Whatever else could run beside it does now.
    pass(seconds(5)).await;
    victim.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_ends_its_process_five_times_is_dead_and_nobody_else_is_counted() {
    for policy in [OnFailure::DeadLetter, OnFailure::Block] {
        let world = World::new(4);
        for key in ["a", "b", "c", "d"] {
            world.push_all(key, 20).await;
        }
        world.script.always("a-7", FOR_EVER);
        for deaths in 1..=5 {
            dies_of(&world, "a-7", policy).await;
            assert_eq!(world.store.suspects(CONSUMER), [(id("a-7"), deaths)], "{policy:?}");
            assert_eq!(world.marker("a-7"), None);
        }
        let survivor = consumer(&world, policy);
        pass(DEADLINE).await;
        assert_eq!(world.letters().await.len(), 0, "the last one to run it might live");
        until(|| world.applied().len() == 79).await;
        let letter = world.letter("a-7").await;
        assert_eq!((letter.state, &*letter.kind), (LetterState::Dead, "process_killer"));
        assert_eq!(letter.error, "ended its process 5 times");
        assert_eq!(world.script.runs_of("a-7").len(), 5, "it does not run a sixth time");
        assert_eq!(world.letters().await.len(), 1);
        assert_eq!(world.store.suspects(CONSUMER), []);
        let innocents = ["a", "b", "c", "d"].iter().flat_map(|key| names(key, 20));
        let innocents = innocents.filter(|id| id != "a-7").collect();
        assert_eq!(sorted(world.applied()), sorted(innocents));

        // A person has repaired the handler.
        world.script.heal();
        world.retry(letter.id).await.expect("it is dead");
        until(|| world.marker("a-7") == Some(Claim::Done)).await;
        assert_eq!(survivor.stop().await.dead, 1);
    }
}

/// What others are who handle a copy of a message at this moment.
struct Others {
    message: Received,
    names: [&'static str; 5],
}

impl Others {
    /// As many as could have died of it.
    async fn begin(world: &World, key: &str) -> Self {
        let message = Received { id: id(&format!("{key}-1")), message: placed(key, 1), place: None };
        let names = ["first", "second", "third", "fourth", "fifth"];
        for name in names {
            world.store.suspect(CONSUMER, &message, name).await.expect("it is noted");
        }
        Self { message, names }
    }

    async fn stand_down(&self, world: &World) {
        for name in self.names {
            world.store.stand_down(CONSUMER, &self.message, name).await.expect("it is taken back");
        }
    }

    /// One of them finishes the message.
    async fn finish(&self, world: &World) {
        let mut tx = world.store.begin().await.expect("a transaction");
        claim(&world.store, &mut tx, CONSUMER, &self.message.id).await.expect("a claim");
        world.store.absolve(&mut tx, CONSUMER, &self.message).await.expect("it is forgotten");
        world.store.commit(tx).await.expect("a commit");
    }
}

/// A consumer whose handlers may take a minute: others have twice that long to answer, and a little.
fn patient<S: Inbox<Tx = MemoryTx>>(world: &World, store: S) -> Running {
    start(world.consumer_on(CONSUMER, store).deadline(seconds(60)).on_failure(OnFailure::DeadLetter))
}

#[tokio::test(start_paused = true)]
async fn a_message_that_others_handle_too_is_no_killer_while_they_have_time() {
    for answered in [true, false] {
        let world = World::new(1);
        world.push("a", 1).await;
        world.push("b", 1).await;
        let others = Others::begin(&world, "a").await;
        let consumer = patient(&world, world.store.clone());
        pass(seconds(100)).await;
        assert_eq!(
            (world.script.runs().len(), world.letters().await.len()),
            (0, 0),
            "it waits for their answer"
        );
        assert_eq!(world.store.suspects(CONSUMER), [(id("a-1"), 5)], "and has taken its own note back");
        if answered {
            others.finish(&world).await;
        } else {
            others.stand_down(&world).await;
        }
        until(|| world.marker("b-1") == Some(Claim::Done)).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.dead, stats.duplicates), (0, u64::from(answered)));
        assert_eq!(world.marker("a-1"), Some(Claim::Done));
        assert_eq!(world.store.suspects(CONSUMER), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_answers_for_is_a_killer_when_their_time_is_over() {
    let world = World::new(1);
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(120)).await;
    assert_eq!(world.letters().await.len(), 0);
    pass(seconds(20)).await;
    assert_eq!(&*world.letter("a-1").await.kind, "process_killer");
    assert_eq!((world.script.runs().len(), consumer.stop().await.dead), (0, 1));
    assert_eq!(world.store.suspects(CONSUMER), []);
}

/// Nobody can answer while the database is away.
#[tokio::test(start_paused = true)]
async fn an_outage_gives_those_who_handle_a_message_their_time_again() {
    let world = World::new(1);
    world.push("a", 1).await;
    let others = Others::begin(&world, "a").await;
    let flaky = Flaky::new(&world.store);
    let consumer = patient(&world, flaky.clone());
    pass(seconds(100)).await;
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    flaky.fail(Call::Suspect, ErrorKind::Unavailable);
    pass(seconds(600)).await;
    flaky.heal();
    pass(seconds(100)).await;
    assert_eq!(world.letters().await.len(), 0);
    others.stand_down(&world).await;
    until(|| world.applied().len() == 1).await;
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_others_have_time_leaves_their_notes_alone() {
    let world = World::new(1);
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(50)).await;
    consumer.stop().await;
    assert_eq!(world.store.suspects(CONSUMER), [(id("a-1"), 5)]);
    assert_eq!(world.letters().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn other_lanes_go_on_while_one_waits_for_the_answer_of_others() {
    let world = World::new(2);
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(5)).await;
    for key in ["b", "c", "d", "e"] {
        world.push_all(key, 20).await;
        names(key, 20).iter().for_each(|id| world.script.always(id, Act::Take(seconds(1))));
    }
    let waits = world.partition_of("a-1");
    let beside = world.log.records(TOPIC).iter().filter(|record| record.place.partition != waits).count();
    assert!(beside >= 20, "{beside}");
    pass(seconds(110)).await;
    assert_eq!((world.applied().len(), world.letters().await.len()), (beside, 0));
    consumer.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_only_asked_about_keeps_no_note() {
    let world = World::new(1);
    world.push("b", 1).await;
    world.push("a", 1).await;
    world.script.always("b-1", Act::Unavailable);
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    // Longer than its word is taken that a dependency is down.
    pass(seconds(1_800)).await;
    consumer.stop().await;
    assert_eq!(world.store.suspects(CONSUMER), [(id("a-1"), 5)]);
    assert_eq!(world.script.runs_of("a-1"), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_beside_a_noted_message() {
    let world = World::new(3);
    world.push_all("e", 1).await;
    world.script.next("e-1", [Act::Fail]);
    let first = start(world.billing());
    until(|| world.letters_now() == 1).await;
    first.stop().await;
    for key in ["a", "b", "c", "d"] {
        world.push_all(key, 5).await;
        names(key, 5).iter().for_each(|id| world.script.always(id, Act::Take(seconds(2))));
    }
    world.script.always("e-1", Act::Take(seconds(2)));
    let before = world.script.runs().len();
    let second = start(world.billing());
    until(|| world.applied().len() == 21).await;
    second.stop().await;
    let starts: Vec<_> = world.script.runs()[before..].iter().map(|run| run.at).collect();
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] >= seconds(2)),
        "each began when the one before it had ended: {starts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_normal_stop_takes_the_note_back() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-2", [Act::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    assert_eq!(world.store.suspects(CONSUMER), [(id("a-2"), 1)]);
    world.script.heal();
    let stats = consumer.stop().await;
    assert_eq!(stats.handled, 1, "the handler took longer than a stop waits");
    assert_eq!(world.store.suspects(CONSUMER), [], "it was cut off, and that is no death");

    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-2", Act::Unavailable);
    let consumer = start(world.billing());
    until(|| !world.script.runs_of("a-2").is_empty()).await;
    consumer.stop().await;
    assert_eq!(world.store.suspects(CONSUMER), []);
}

#[tokio::test(start_paused = true)]
async fn deployments_in_the_middle_of_a_slow_message_never_make_it_a_killer() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-2", Act::Take(seconds(500)));
    for runs in 1..=7 {
        let consumer = start(world.billing().deadline(seconds(600)));
        until(|| world.script.runs_of("a-2").len() == runs).await;
        consumer.stop().await;
    }
    world.script.heal();
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    assert_eq!(consumer.stop().await.dead, 0);
    assert_eq!(world.letters().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn outages_conflicts_and_failures_count_no_death() {
    for (act, policy) in [
        (Act::Unavailable, OnFailure::DeadLetter),
        (Act::Conflict, OnFailure::DeadLetter),
        (Act::Fail, OnFailure::Block),
        (Act::Swallow, OnFailure::Block),
        (Act::LockBound, OnFailure::Block),
    ] {
        let world = World::new(1);
        world.push_all("a", 3).await;
        world.script.always("a-2", act);
        let consumer = start(world.billing().on_failure(policy));
        until(|| world.script.runs_of("a-2").len() >= 20).await;
        pass(Duration::from_millis(1)).await;
        assert!(
            world.store.suspects(CONSUMER).iter().all(|(_, notes)| *notes == 1),
            "{act:?}: {:?}",
            world.store.suspects(CONSUMER)
        );
        consumer.stop().await;
        assert_eq!(world.store.suspects(CONSUMER), [], "{act:?}");
        assert_eq!(world.letters().await.len(), 0, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_a_message_is_noted_counts_no_death() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    world.script.next("a-2", [Act::Take(seconds(2))]);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    for call in [Call::Commit, Call::Begin, Call::Suspect, Call::StandDown] {
        flaky.fail(call, ErrorKind::Unavailable);
    }
    pass(seconds(300)).await;
    assert_eq!(world.store.suspects(CONSUMER), [(id("a-2"), 1)]);
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(world.store.suspects(CONSUMER), []);
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_cannot_be_noted_does_not_run() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Suspect, ErrorKind::Unavailable);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    pass(seconds(60)).await;
    assert!(world.script.runs().is_empty());
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_forgotten_with_its_letter() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-1", [Act::Fail]);
    world.script.always("a-2", Act::Permanent);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    assert_eq!(world.store.suspects(CONSUMER), []);
    until(|| world.applied().len() == 2).await;
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn as_many_messages_as_a_batch_may_hold_run_one_by_one_and_then_batches_are_back() {
    let world = World::new(1);
    world.push_all("a", 550).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 550).await;
    assert_eq!(world.applied(), names("a", 550));
    assert_eq!(consumer.read().batches, 50 + 10);
    world.log.lose(CONSUMER);
    world.push_all("b", 100).await;
    until(|| world.applied().len() == 650).await;
    assert_eq!(consumer.stop().await.batches, 60 + 50 + 1, "a new assignment begins with care");
}

#[tokio::test(start_paused = true)]
async fn duplicates_after_a_lost_offset_cost_no_notes() {
    let world = World::new(1);
    world.push_all("a", 5_000).await;
    let first = start(world.billing());
    until(|| world.applied().len() == 5_000).await;
    first.stop().await;
    world.log.redeliver(CONSUMER);
    world.push_all("b", 10).await;
    let flaky = Flaky::new(&world.store);
    let second = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.applied().len() == 5_010).await;
    assert_eq!(flaky.calls(Call::Suspect), 10);
    let stats = second.stop().await;
    assert_eq!((stats.duplicates, stats.handled), (5_000, 10));
    assert!(stats.batches <= 100 + 10, "{}", stats.batches);
}

#[tokio::test(start_paused = true)]
async fn a_start_forgets_notes_of_what_somebody_else_has_finished() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [FOR_EVER]);
    let victim = start(world.billing().deadline(DEADLINE));
    until(|| world.script.runs().len() == 1).await;
    victim.kill().await;
    assert_eq!(world.store.suspects(CONSUMER).len(), 1);
    // Another process, to which it was delivered before it died, has finished it without a note.
    let mut tx = world.store.begin().await.expect("a transaction");
    claim(&world.store, &mut tx, CONSUMER, &id("a-1")).await.expect("a claim");
    world.store.commit(tx).await.expect("a commit");
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    assert_eq!(world.store.suspects(CONSUMER), []);
    assert_eq!(consumer.stop().await.duplicates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_a_cautious_lane_like_any_other() {
    let world = World::new(2);
    world.push_all("a", 3).await;
    world.push_all("b", 3).await;
    let gate = TestGate::new();
    gate.close();
    let consumer = start(world.billing().gate(gate.clone()));
    pass(seconds(60)).await;
    assert!(world.script.runs().is_empty());
    assert_eq!(world.store.suspects(CONSUMER), []);
    gate.open();
    until(|| world.applied().len() == 6).await;
    consumer.stop().await;
}
