//! A message that ends its process: the first death leaves a note of its batch, five more name it, and nobody else pays for it.

use std::time::Duration;

use messagekit::memory::{MemoryTx, TestGate};
use messagekit::{Claim, ErrorKind, Inbox, LetterState, MessageId, OnFailure, Store, Suspects, claim};

use crate::fixture::{
    Act, CONSUMER, Running, TOPIC, World, id, names, pass, placed, seconds, sorted, start, until,
};
use crate::flaky::{Call, Flaky};

/// Longer than the test looks: whoever runs it is killed meanwhile.
const FOR_EVER: Act = Act::Take(Duration::from_secs(100_000));

/// How long a handler may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// What the first messages of a lane go by.
fn first_of(partition: i32) -> MessageId {
    MessageId::from_stored(&format!("at:{TOPIC}/{partition}/first"))
}

/// A process has died in the first batch of each lane.
async fn after_a_death(partitions: i32) -> World {
    let world = World::new(usize::try_from(partitions).expect("some partitions"));
    for partition in 0..partitions {
        world.store.suspect(CONSUMER, &first_of(partition), "the dead").await.expect("it is noted");
    }
    world
}

/// Messages that are noted by themselves.
fn noted(world: &World) -> Vec<(MessageId, usize)> {
    world.store.suspects(CONSUMER).into_iter().filter(|(suspect, _)| !suspect.is_place()).collect()
}

/// Lanes whose first messages are noted.
fn lanes_noted(world: &World) -> Vec<(MessageId, usize)> {
    world.store.suspects(CONSUMER).into_iter().filter(|(suspect, _)| suspect.is_place()).collect()
}

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
async fn a_message_that_ends_its_process_five_times_alone_is_dead_and_nobody_else_is_counted() {
    for policy in [OnFailure::DeadLetter, OnFailure::Block] {
        let world = World::new(4);
        for key in ["a", "b", "c", "d"] {
            world.push_all(key, 20).await;
        }
        world.script.always("a-7", FOR_EVER);
        dies_of(&world, "a-7", policy).await;
        let lane = first_of(world.partition_of("a-7"));
        assert_eq!((noted(&world), lanes_noted(&world)), (vec![], vec![(lane, 1)]), "{policy:?}: its batch");
        for deaths in 1..=5 {
            dies_of(&world, "a-7", policy).await;
            assert_eq!(noted(&world), [(id("a-7"), deaths)], "{policy:?}");
            assert_eq!(world.marker("a-7"), None);
        }
        let survivor = consumer(&world, policy);
        pass(DEADLINE).await;
        assert_eq!(world.letters().await.len(), 0, "the last one to run it might live");
        until(|| world.applied().len() == 79).await;
        let letter = world.letter("a-7").await;
        assert_eq!((letter.state, &*letter.kind), (LetterState::Dead, "process_killer"));
        assert_eq!(letter.error, "ended its process 5 times");
        assert_eq!(world.script.runs_of("a-7").len(), 6, "it does not run a sixth time alone");
        assert_eq!(world.letters().await.len(), 1);
        assert_eq!(noted(&world), []);
        assert_eq!(lanes_noted(&world), [], "the culprit is found");
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
    message: MessageId,
    names: [&'static str; 5],
}

impl Others {
    /// As many as could have died of it.
    async fn begin(world: &World, key: &str) -> Self {
        let message = id(&format!("{key}-1"));
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
        claim(&world.store, &mut tx, CONSUMER, &self.message).await.expect("a claim");
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
        let world = after_a_death(1).await;
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
        assert_eq!(noted(&world), [(id("a-1"), 5)], "and has taken its own note back");
        if answered {
            others.finish(&world).await;
        } else {
            others.stand_down(&world).await;
        }
        until(|| world.marker("b-1") == Some(Claim::Done)).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.dead, stats.duplicates), (0, u64::from(answered)));
        assert_eq!(world.marker("a-1"), Some(Claim::Done));
        assert_eq!(noted(&world), []);
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_nobody_answers_for_is_a_killer_when_their_time_is_over() {
    let world = after_a_death(1).await;
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(120)).await;
    assert_eq!(world.letters().await.len(), 0);
    pass(seconds(20)).await;
    assert_eq!(&*world.letter("a-1").await.kind, "process_killer");
    assert_eq!((world.script.runs().len(), consumer.stop().await.dead), (0, 1));
    assert_eq!(noted(&world), []);
}

/// Nobody can answer while the database is away.
#[tokio::test(start_paused = true)]
async fn an_outage_gives_those_who_handle_a_message_their_time_again() {
    let world = after_a_death(1).await;
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
    let world = after_a_death(1).await;
    world.push("a", 1).await;
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    pass(seconds(50)).await;
    consumer.stop().await;
    assert_eq!(noted(&world), [(id("a-1"), 5)]);
    assert_eq!(world.letters().await.len(), 0);
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
    let world = after_a_death(1).await;
    world.push("b", 1).await;
    world.push("a", 1).await;
    world.script.always("b-1", Act::Unavailable);
    Others::begin(&world, "a").await;
    let consumer = patient(&world, world.store.clone());
    // Longer than its word is taken that a dependency is down.
    pass(seconds(1_800)).await;
    consumer.stop().await;
    assert_eq!(noted(&world), [(id("a-1"), 5)]);
    assert_eq!(world.script.runs_of("a-1"), []);
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_beside_a_noted_message() {
    let world = after_a_death(3).await;
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
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.next("a-2", [Act::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    assert_eq!(noted(&world), [(id("a-2"), 1)]);
    world.script.heal();
    let stats = consumer.stop().await;
    assert_eq!(stats.handled, 1, "the handler took longer than a stop waits");
    assert_eq!(noted(&world), [], "it was cut off, and that is no death");

    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.always("a-2", Act::Unavailable);
    let consumer = start(world.billing());
    until(|| !world.script.runs_of("a-2").is_empty()).await;
    consumer.stop().await;
    assert_eq!(noted(&world), []);
}

#[tokio::test(start_paused = true)]
async fn deployments_in_the_middle_of_a_slow_message_never_make_it_a_killer() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.always("a-2", Act::Take(seconds(500)));
    for runs in 1..=7 {
        let consumer = start(world.billing().deadline(seconds(600)));
        until(|| world.script.runs_of("a-2").len() == runs).await;
        assert_eq!(noted(&world), [(id("a-2"), 1)]);
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
        let world = after_a_death(1).await;
        world.push_all("a", 3).await;
        world.script.always("a-2", act);
        let flaky = Flaky::new(&world.store);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(policy));
        until(|| world.script.runs_of("a-2").len() >= 20).await;
        pass(Duration::from_millis(1)).await;
        assert!(noted(&world).iter().all(|(_, notes)| *notes == 1), "{act:?}: {:?}", noted(&world));
        assert!(flaky.calls(Call::Suspect) > 2, "{act:?}: its messages are noted");
        consumer.stop().await;
        assert_eq!(noted(&world), [], "{act:?}");
        assert_eq!(world.letters().await.len(), 0, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_while_a_message_is_noted_counts_no_death() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    world.script.next("a-2", [Act::Take(seconds(2))]);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    for call in [Call::Commit, Call::Begin, Call::Suspect, Call::StandDown] {
        flaky.fail(call, ErrorKind::Unavailable);
    }
    pass(seconds(300)).await;
    assert_eq!(noted(&world), [(id("a-2"), 1)]);
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(noted(&world), []);
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_noted_does_not_run() {
    for died in [false, true] {
        let world = if died { after_a_death(1).await } else { World::new(1) };
        let flaky = Flaky::new(&world.store);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        let careful = i64::from(died);
        if died {
            world.push_all("b", careful).await;
            until(|| world.committed(0) == careful).await;
        }
        flaky.fail(Call::Suspect, ErrorKind::Unavailable);
        world.push_all("a", 3).await;
        pass(seconds(60)).await;
        assert_eq!(world.script.runs_of("a-1").len(), 0, "died: {died}");
        flaky.heal();
        until(|| world.committed(0) == 3 + careful).await;
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_forgotten_with_its_letter() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.next("a-1", [Act::Fail]);
    world.script.always("a-2", Act::Permanent);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    assert_eq!(noted(&world), []);
    until(|| world.applied().len() == 2).await;
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lane_in_which_nobody_has_died_works_in_batches_from_the_start() {
    let world = World::new(1);
    world.push_all("a", 550).await;
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.applied().len() == 550).await;
    assert_eq!((consumer.read().batches, flaky.calls(Call::Suspect)), (11, 1), "the first one is noted");
    world.log.lose(CONSUMER);
    world.push_all("b", 100).await;
    until(|| world.applied().len() == 650).await;
    assert_eq!((consumer.read().batches, flaky.calls(Call::Suspect)), (13, 2), "and after an assignment");
    assert_eq!(world.store.suspects(CONSUMER), []);

    // Killed behind its first batch: nobody knows of what.
    world.script.always("c-1", FOR_EVER);
    world.push_all("c", 1).await;
    until(|| world.script.runs_of("c-1").len() == 1).await;
    consumer.kill().await;
    assert_eq!(world.store.suspects(CONSUMER), []);
    world.script.heal();
    world.push_all("d", 99).await;
    let next = start(world.billing());
    until(|| world.applied().len() == 750).await;
    assert_eq!(next.stop().await.batches, 2, "a process that was killed makes no slow start");
}

#[tokio::test(start_paused = true)]
async fn behind_a_death_as_many_messages_as_a_batch_may_hold_run_one_by_one_and_then_batches_are_back() {
    let world = after_a_death(1).await;
    world.push_all("a", 49).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 49).await;
    assert_eq!(lanes_noted(&world), [(first_of(0), 1)], "who dies now leaves the next one as careful");
    let rest: Vec<_> = (1..=501).map(|n| placed("b", n)).collect();
    world.publish_all(&rest).await;
    until(|| world.applied().len() == 550).await;
    assert_eq!(world.applied(), [names("a", 49), names("b", 501)].concat());
    let batches = consumer.read().batches;
    // The batch in which the care is over is finished as it was begun.
    assert!((50 + 10..=49 + 50 + 10).contains(&batches), "{batches}");
    assert_eq!(world.store.suspects(CONSUMER), []);
    world.log.lose(CONSUMER);
    world.push_all("c", 100).await;
    until(|| world.applied().len() == 650).await;
    assert_eq!(consumer.stop().await.batches, batches + 2, "that death is over");
}

#[tokio::test(start_paused = true)]
async fn a_careful_start_that_is_cut_short_is_begun_again_by_the_next_one() {
    let world = after_a_death(1).await;
    for (key, batches) in [("a", 30), ("b", 30), ("c", 30)] {
        world.push_all(key, batches).await;
        let run = start(world.billing());
        until(|| world.committed(0) % 30 == 0 && world.script.runs_of(&format!("{key}-30")).len() == 1).await;
        assert_eq!(run.stop().await.batches, u64::try_from(batches).expect("some"));
        assert_eq!(world.store.suspects(CONSUMER), [(first_of(0), 1)]);
    }
}

/// What a process died of is delivered again at once.
#[tokio::test(start_paused = true)]
async fn a_lane_that_has_nothing_more_for_a_while_is_careful_no_longer() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    pass(seconds(5)).await;
    world.push_all("b", 3).await;
    until(|| world.applied().len() == 6).await;
    assert_eq!(world.store.suspects(CONSUMER), [(first_of(0), 1)], "it may still come");
    pass(seconds(11)).await;
    let late: Vec<_> = (1..=40).map(|n| placed("c", n)).collect();
    world.publish_all(&late).await;
    until(|| world.applied().len() == 46).await;
    assert_eq!(world.store.suspects(CONSUMER), []);
    assert_eq!(consumer.stop().await.batches, 6 + 1);
}

#[tokio::test(start_paused = true)]
async fn each_strand_of_a_partition_is_careful_by_itself() {
    let world = World::new(1);
    for key in ["a", "b", "c", "d", "e", "f"] {
        world.push_all(key, 20).await;
    }
    world.script.always("a-1", FOR_EVER);
    let lanes = std::num::NonZeroU32::new(4).expect("some");
    let strands = || world.billing().key_lanes(lanes).deadline(DEADLINE);
    let victim = start(strands());
    until(|| world.script.runs_of("a-1").len() == 1).await;
    pass(seconds(5)).await;
    victim.kill().await;
    let left = lanes_noted(&world);
    let [(strand, 1)] = &left[..] else { panic!("one strand, not {left:?}") };
    assert!(strand.as_str().starts_with(&format!("at:{TOPIC}/0/")), "{strand}");

    // The others of the strand of a are those that wait with it.
    let waiting = 120 - world.applied().len();
    let second = start(strands());
    until(|| world.script.runs_of("a-1").len() == 2).await;
    assert_eq!(noted(&world), [(id("a-1"), 1)]);
    assert_eq!(lanes_noted(&world), left);
    second.kill().await;
    world.script.heal();
    let third = start(strands());
    until(|| world.applied().len() == 120).await;
    let batches = third.stop().await.batches as usize;
    assert!(
        (waiting..=waiting + 3).contains(&batches),
        "{waiting} one by one, the others as they come: {batches}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_handles_is_not_noted() {
    let world = World::new(1);
    let strange: Vec<_> = (1..=300)
        .map(|n| placed("a", n).with_header(messagekit::headers::EVENT_TYPE, "orders.order.forgotten"))
        .collect();
    world.publish_all(&strange).await;
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.committed(0) == 300).await;
    assert_eq!((flaky.calls(Call::Suspect), consumer.stop().await.ignored), (0, 300));
}

#[tokio::test(start_paused = true)]
async fn a_normal_stop_takes_the_note_of_a_batch_back() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-2", [Act::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    assert_eq!(world.store.suspects(CONSUMER), [(first_of(0), 1)]);
    consumer.stop().await;
    assert_eq!(world.store.suspects(CONSUMER), [], "it was cut off, and that is no death");
}

#[tokio::test(start_paused = true)]
async fn duplicates_after_a_lost_offset_cost_no_note_of_their_own() {
    for died in [false, true] {
        let world = World::new(1);
        world.push_all("a", 5_000).await;
        let first = start(world.billing());
        until(|| world.applied().len() == 5_000).await;
        first.stop().await;
        if died {
            world.store.suspect(CONSUMER, &first_of(0), "the dead").await.expect("it is noted");
        }
        world.log.redeliver(CONSUMER);
        world.push_all("b", 10).await;
        let flaky = Flaky::new(&world.store);
        let second = start(world.consumer_on(CONSUMER, flaky.clone()));
        until(|| world.applied().len() == 5_010).await;
        // Whether there is something fresh in it is not known before a batch is noted.
        let notes = if died { 1 + 10 } else { 101 };
        assert_eq!(flaky.calls(Call::Suspect), notes);
        let stats = second.stop().await;
        assert_eq!((stats.duplicates, stats.handled), (5_000, 10));
        assert!(stats.batches <= 100 + 10, "{}", stats.batches);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_forgets_notes_of_what_somebody_else_has_finished() {
    let world = after_a_death(1).await;
    world.push_all("a", 1).await;
    world.script.next("a-1", [FOR_EVER]);
    let victim = start(world.billing().deadline(DEADLINE));
    until(|| world.script.runs().len() == 1).await;
    victim.kill().await;
    assert_eq!(noted(&world).len(), 1);
    // Another process, to which it was delivered before it died, has finished it without a note.
    let mut tx = world.store.begin().await.expect("a transaction");
    claim(&world.store, &mut tx, CONSUMER, &id("a-1")).await.expect("a claim");
    world.store.commit(tx).await.expect("a commit");
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    assert_eq!(noted(&world), []);
    assert_eq!(consumer.stop().await.duplicates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_a_cautious_lane_like_any_other() {
    let world = after_a_death(2).await;
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    let gate = TestGate::new();
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| world.applied().len() == 2).await;
    gate.close();
    for key in ["a", "b"] {
        world.push(key, 2).await;
        world.push(key, 3).await;
    }
    pass(seconds(60)).await;
    assert_eq!((world.script.runs().len(), noted(&world)), (2, vec![]));
    gate.open();
    until(|| world.applied().len() == 6).await;
    consumer.stop().await;
}

/// Two readers of one queue: what one of them had in hand comes to the other, behind what that one has finished.
#[tokio::test(start_paused = true)]
async fn who_finds_a_note_late_takes_as_much_care_as_at_a_start() {
    let world = World::new(1);
    world.push_all("a", 45).await;
    let reader = start(world.billing());
    until(|| world.applied().len() == 45).await;
    world.store.suspect(CONSUMER, &first_of(0), "another reader").await.expect("it is noted");
    let rest: Vec<_> = (1..=20).map(|n| placed("b", n)).collect();
    world.publish_all(&rest).await;
    until(|| world.applied().len() == 65).await;
    assert_eq!(lanes_noted(&world), [(first_of(0), 1)], "five were left, and now it may be any of fifty");
    assert!(reader.stop().await.batches > 20);
}
