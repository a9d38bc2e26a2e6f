//! A stopped or dropped consumer loses nothing, applies nothing twice, and leaves no open transaction.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Consumer, ErrorKind, MessageId, Shutdown};
use messagekit_memory::MemorySource;
use tokio::time::Instant;

use crate::counted::{Counted, Counts};
use crate::ending::Ending;
use crate::fixture::{Action, CALM, CONSUMER, World, names, pass, seconds, sorted, start, until};
use crate::flaky::{Call, Flaky};

#[tokio::test(start_paused = true)]
async fn a_stop_finishes_the_batch_in_hand_and_gives_the_rest_back() {
    let world = World::new(1);
    world.script.always("a-3", Action::Take(Duration::from_millis(200)));
    let counts = Counts::default();
    let consumer = world.start_calm(world.billing_from(Counted::new(world.topics(), &counts))).await;
    let before = consumer.read();
    world.push_all("a", 400).await;
    until(|| world.script.runs().len() == 3).await;

    let stats = consumer.stop().await;
    assert_eq!(world.applied(), names("a", 3), "the batch in hand ended after its slow handler");
    assert_eq!((stats.handled - before.handled, stats.batches - before.batches), (3, 1));
    assert_eq!(world.committed(0), CALM + 3, "what was handled is settled");
    assert_eq!((counts.pulled(), counts.back()), (450, 450), "each delivery came back once");
    assert_eq!(world.store.open_transactions(), 0);

    let consumer = start(world.billing());
    until(|| world.applied().len() >= 400).await;
    let stats = consumer.stop().await;
    assert_eq!(world.applied(), names("a", 400));
    assert_eq!((stats.handled, stats.duplicates), (397, 0), "nothing of it came twice");
}

#[tokio::test(start_paused = true)]
async fn what_was_in_flight_when_a_lane_was_given_up_comes_back_too() {
    let world = World::new(1);
    world.push_all("a", 400).await;
    world.script.always("a-1", Action::Take(Duration::from_millis(200)));
    let counts = Counts::default();
    let consumer = start(world.billing_from(Counted::new(world.topics(), &counts).late()));
    until(|| world.script.runs().len() == 1).await;
    let before = counts.pulled();
    consumer.stop().await;
    assert!(counts.pulled() > before, "something came after the pause");
    assert_eq!(counts.back(), counts.pulled(), "and went back");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_was_asked_for_before_ends_at_once() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    let shutdown = Shutdown::new();
    shutdown.request();
    world.billing().build().expect("valid").run(shutdown).await.expect("a clean stop");
    assert_eq!(world.script.runs().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_half_a_minute_for_a_handler_and_no_longer() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.next("a-2", [Action::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs().len() == 2).await;
    let requested = Instant::now();
    consumer.stop().await;
    let waited = requested.elapsed();
    assert!(seconds(30) <= waited && waited < seconds(31), "{waited:?}");
    pass(Duration::from_millis(1)).await;
    assert_eq!((world.store.open_transactions(), world.applied().len()), (0, 0));

    let consumer = start(world.billing());
    until(|| world.applied().len() == 5).await;
    assert_eq!(world.applied(), names("a", 5));
    consumer.stop().await;
}

/// A process that ends then is restarted and ends again, until an operator repairs the position.
#[tokio::test(start_paused = true)]
async fn a_source_that_ends_for_good_costs_no_message_in_hand_its_run() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-2", Action::Take(seconds(10)));
    let consumer = start(world.billing_from(Ending::new(world.topics(), seconds(5))));
    let error = consumer.ended().await.expect_err("it cannot go on");
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!((world.applied(), world.store.open_transactions()), (names("a", 2), 0));
    assert_eq!(world.store.in_flight_attempts(CONSUMER), [], "no process takes it for a crash");

    world.script.always("a-3", Action::Take(seconds(600)));
    let consumer = start(world.billing_from(Ending::new(world.topics(), seconds(5))).deadline(seconds(900)));
    consumer.ended().await.expect_err("it cannot go on");
    assert_eq!(world.store.in_flight_attempts(CONSUMER), [], "one that is cut off is no death either");
}

#[tokio::test(start_paused = true)]
async fn stop_waits_for_a_running_retry_and_counts_no_crash() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::Fail, Action::Take(seconds(5))]);
    let consumer = start(world.billing());
    until(|| world.script.runs().len() == 2).await;
    consumer.stop().await;
    assert_eq!(world.applied(), ["a-1"]);
    let failed_message = world.failed_message("a-1").await;
    assert_eq!((failed_message.state, failed_message.crash_count), (FailedMessageState::Resolved, 0));
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_a_stop_cuts_off_counts_no_attempt_and_no_crash() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.plan("a-1", [Action::Fail], Action::Take(seconds(500)));
    for runs in 2..=9 {
        let consumer = start(world.billing().deadline(seconds(600)));
        until(|| world.script.runs_of("a-1").len() == runs).await;
        let requested = Instant::now();
        consumer.stop().await;
        assert!(requested.elapsed() < seconds(31), "{:?}", requested.elapsed());
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.state, failed_message.attempts, failed_message.crash_count),
            (FailedMessageState::RetryScheduled, 1, 0)
        );
    }
    world.script.heal();
    let consumer = start(world.billing());
    until(|| world.applied() == ["a-1"]).await;
    consumer.stop().await;
}

/// A handler dropped during a statement leaves the server executing it, and the rollback waits for the statement.
#[tokio::test(start_paused = true)]
async fn a_stop_in_the_middle_of_a_long_statement_is_no_death() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    let flaky = Flaky::new(&world.store);
    world.script.plan("a-1", [Action::Take(seconds(500)), Action::Fail], Action::Take(seconds(500)));
    let billing = || world.consumer_on(CONSUMER, flaky.clone()).deadline(seconds(600));
    for runs in [1, 3] {
        let consumer = start(billing());
        until(|| world.script.runs_of("a-1").len() == runs).await;
        flaky.rollbacks_take(seconds(100));
        consumer.stop().await;
        flaky.rollbacks_take(seconds(0));
    }
    assert_eq!(world.store.in_flight_attempts(CONSUMER), []);
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.crash_count),
        (FailedMessageState::RetryScheduled, 1, 0)
    );
}

#[tokio::test(start_paused = true)]
async fn a_stop_during_an_outage_ends_soon() {
    let world = World::new(2);
    world.push_all("a", 2_000).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    let consumer = start(world.consumer_on(CONSUMER, flaky));
    pass(seconds(60)).await;
    let requested = Instant::now();
    consumer.stop().await;
    assert!(requested.elapsed() < seconds(1), "{:?}", requested.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_stops_hands_its_lanes_over_without_a_duplicate() {
    let world = World::new(4);
    for key in ["a", "b", "c", "d", "e", "f"] {
        world.push_all(key, 100).await;
        (1..=100)
            .for_each(|n| world.script.always(&format!("{key}-{n}"), Action::Take(Duration::from_millis(2))));
    }
    let (leaver, stayer) = (start(world.billing()), start(world.billing()));
    pass(Duration::from_millis(200)).await;
    let left = leaver.stop().await;
    until(|| world.applied().len() == 600).await;
    let stayed = stayer.stop().await;
    assert!(left.handled > 0 && left.handled + stayed.handled == 600);
    assert_eq!((left.duplicates, stayed.duplicates), (0, 0), "what was handled was settled in time");
}

/// Creates twelve messages in two lanes: one is set aside and retried, one is dead at once, some take a while.
async fn eventful_world() -> (World, Flaky) {
    let world = World::new(2);
    world.push_all("a", 6).await;
    world.push_all("b", 6).await;
    world.script.next("a-2", [Action::Fail]);
    world.script.always("b-3", Action::Permanent);
    world.script.next("a-5", [Action::Swallow]);
    for id in ["a-4", "b-1", "b-6"] {
        world.script.always(id, Action::Take(Duration::from_millis(3)));
    }
    let flaky = Flaky::new(&world.store);
    flaky.slow();
    (world, flaky)
}

/// Creates a consumer whose failed messages are due at once, so their runs are dropped too.
fn impatient(world: &World, flaky: &Flaky) -> Consumer<Flaky, MemorySource> {
    let builder =
        world.consumer_on(CONSUMER, flaky.clone()).backoff(Backoff::fixed(Duration::from_millis(1)));
    builder.build().expect("valid")
}

/// Runs a new consumer to the end and compares the result with the expected one.
async fn assert_nothing_lost_or_doubled(world: &World, flaky: &Flaky, dropped_at: &str) {
    // The runtime drops aborted futures and finishes commits in flight during this time.
    pass(seconds(1)).await;
    assert_eq!(world.store.open_transactions(), 0, "{dropped_at}");
    assert_eq!(flaky.commits_in_flight(), 0, "{dropped_at}: a commit that was sent is awaited");
    let consumer = start(world.billing().attempts(NonZeroU32::new(20).expect("20 > 0")));
    let all: Vec<String> = [names("a", 6), names("b", 6)].concat();
    let mut expected: Vec<String> = all.iter().filter(|id| *id != "b-3").cloned().collect();
    until(|| world.applied().len() >= expected.len() && world.committed(0) + world.committed(1) == 12).await;
    pass(seconds(120)).await;
    expected.sort_unstable();
    assert_eq!(sorted(world.applied()), expected, "{dropped_at}");
    let dead: Vec<MessageId> = world
        .failed_messages()
        .await
        .into_iter()
        .filter(|failed_message| failed_message.state != FailedMessageState::Resolved)
        .map(|failed_message| failed_message.received.id)
        .collect();
    assert_eq!(dead, [crate::fixture::id("b-3")], "{dropped_at}");
    consumer.stop().await;
    assert_eq!(world.store.open_transactions(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls_nothing_is_lost_or_doubled() {
    let mut applied_before = BTreeSet::new();
    for polls in 0..260 {
        let (world, flaky) = eventful_world().await;
        {
            let mut run = pin!(impatient(&world, &flaky).run(std::future::pending()));
            for poll in 0..polls {
                poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await;
                // Spawned tasks advance one step; sometimes their timers do too.
                if poll % 16 == 15 {
                    pass(Duration::from_millis(1)).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
            applied_before.insert(world.applied().len());
        }
        assert_nothing_lost_or_doubled(&world, &flaky, &format!("after {polls} polls")).await;
    }
    assert!(
        applied_before.contains(&0) && applied_before.contains(&11),
        "from start to end: {applied_before:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn timed_out_at_any_moment_nothing_is_lost_or_doubled() {
    for time in (0..40).chain((40..800).step_by(60)) {
        let (world, flaky) = eventful_world().await;
        let run = impatient(&world, &flaky).run(std::future::pending());
        let cut = tokio::time::timeout(Duration::from_millis(time), run).await;
        assert!(cut.is_err());
        assert_nothing_lost_or_doubled(&world, &flaky, &format!("after {time} ms")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn dropped_while_it_stops_nothing_is_lost_or_doubled() {
    for polls in 0..60 {
        let (world, flaky) = eventful_world().await;
        {
            let shutdown = Shutdown::new();
            let mut run = pin!(impatient(&world, &flaky).run(shutdown.clone()));
            for poll in 0..polls + 12 {
                if poll == 12 {
                    shutdown.request();
                }
                if poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_ready())).await {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        assert_nothing_lost_or_doubled(&world, &flaky, &format!("{polls} polls after the request")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_counts_is_woken_by_them_and_by_the_end() {
    let world = World::new(1);
    let consumer = world.billing().build().expect("a good consumer");
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let waits = tokio::spawn({
        let stats = stats.clone();
        async move { stats.wait_until(|stats| stats.handled == 3).await.map(|stats| stats.handled) }
    });
    pass(seconds(60)).await;
    assert!(!waits.is_finished());
    world.push_all("a", 3).await;
    assert_eq!(waits.await.expect("no panic").expect("they were reached"), 3);
    assert_eq!(stats.wait_until(|stats| stats.handled > 0).await.expect("at once").handled, 3);

    let waits = tokio::spawn(async move { stats.wait_until(|stats| stats.handled == 4).await });
    pass(seconds(1)).await;
    shutdown.request();
    running.await.expect("no panic").expect("it stops");
    let error = waits.await.expect("no panic").expect_err("nobody handles a fourth one");
    assert_eq!((error.kind(), error.context("end")), (ErrorKind::Closed, Some("stopped")));
}
