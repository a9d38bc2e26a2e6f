//! A permit is used when a handler has started, whatever became of the message.

use std::task::{Context, Poll, Waker};
use std::time::Duration;

use messagekit::adapter::Lane;
use messagekit::gate::{BatchView, Gate, Gates, Permit, RateLimit};
use messagekit::{Backoff, Message, OnFailure};
use messagekit_memory::TestGate;
use tokio::time::Instant;

use crate::fixture::{Action, World, pass, placed, seconds, start, until};
use crate::script::Run;

const MESSAGES: u32 = 10;
const PERIOD: Duration = seconds(60);
/// The time in which the limit recovers from one start.
const EACH: Duration = seconds(6);

fn ten_per_minute() -> RateLimit {
    RateLimit::per(MESSAGES, PERIOD)
}

/// Returns the messages of one batch.
fn eight() -> Vec<Message> {
    (1..=8).map(|n| placed("a", n)).collect()
}

/// Asserts that at each start, no more handlers have started than the limit allows: all of an unused limit, then one each 6 s.
fn assert_within_the_limit(runs: &[Run], since: Instant) {
    for (before, run) in runs.iter().enumerate() {
        let recovered = ((run.at - since).as_millis() / EACH.as_millis()) as usize;
        let allowed = MESSAGES as usize + recovered;
        assert!(before < allowed, "start {} at {:?}", before + 1, run.at - since);
    }
}

/// Returns how many messages a limit admits now.
fn free(limit: &RateLimit) -> u32 {
    let (mut limit, mut cx) = (limit.clone(), Context::from_waker(Waker::noop()));
    let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: MESSAGES, bytes: 1 };
    let mut permits = Vec::new();
    while let Poll::Ready(permit) = limit.poll_admit(&view, &mut cx) {
        permits.push(permit);
    }
    permits.iter().map(Permit::granted).sum()
}

#[tokio::test(start_paused = true)]
async fn handlers_that_report_unavailable_use_up_a_limit() {
    let world = World::new(8);
    for key in 0..40 {
        world.push_all(&format!("k{key}"), 3).await;
        (1..=3).for_each(|n| world.script.always(&format!("k{key}-{n}"), Action::Unavailable));
    }
    let began = Instant::now();
    let consumer = start(world.billing().gate(ten_per_minute()));
    pass(seconds(20)).await;
    let runs = world.script.runs();
    assert_within_the_limit(&runs, began);
    assert_eq!(runs.len(), 13, "ten at once, and one each six seconds");
    pass(seconds(600)).await;
    assert_within_the_limit(&world.script.runs(), began);
    assert!(world.script.runs().len() >= 105, "the limit is used: {}", world.script.runs().len());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn every_start_is_reported_to_the_gates() {
    use Action::{
        Conflict, Fail, Foreign, Outage, Panic, Permanent, Swallow, TransactionTimeout, Unavailable,
    };
    let actions =
        [Fail, Permanent, Panic, Swallow, Unavailable, Foreign, Outage, Conflict, TransactionTimeout];
    for action in actions {
        for on_failure in [OnFailure::DeadLetter, OnFailure::ParkKey, OnFailure::Block] {
            let world = World::new(1);
            let gate = TestGate::new();
            let consumer = world.start_calm(world.billing().on_failure(on_failure).gate(gate.clone())).await;
            let used = || gate.outcomes().iter().map(|outcome| outcome.used).sum::<u32>();
            let before = used();
            world.script.next("a-6", [action; 3]);
            world.publish_all(&eight()).await;
            let are_dead = action == Permanent && on_failure != OnFailure::Block;
            until(|| world.applied().len() == 8 || are_dead && world.applied().len() >= 5).await;
            pass(seconds(30)).await;
            consumer.stop().await;
            let started = world.script.runs().len();
            assert_eq!((used() - before) as usize, started, "{action:?} under {on_failure:?}");
            assert!(started > 8, "{action:?} under {on_failure:?}: some started again");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_gives_its_permit_back() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    let first = start(world.billing());
    until(|| world.applied().len() == 5).await;
    first.stop().await;
    // Each message comes again, and one that is new.
    world.push_all("a", 6).await;
    let limit = ten_per_minute();
    let consumer = start(world.billing().gate(limit.clone()));
    until(|| world.applied().len() == 6).await;
    until(|| consumer.read().duplicates == 5).await;
    consumer.stop().await;
    assert_eq!(free(&limit), MESSAGES - 1);
}

#[tokio::test(start_paused = true)]
async fn starts_beyond_a_permit_are_a_debt_that_delays_later_ones() {
    let world = World::new(1);
    // Its transaction fails at the end, so the batch is bisected down to it.
    world.script.always("a-8", Action::Swallow);
    world.publish_all(&eight()).await;
    let began = Instant::now();
    let a_day = Backoff::fixed(seconds(24 * 60 * 60));
    let consumer = start(world.billing().backoff(a_day).gate(ten_per_minute()));
    until(|| world.committed(0) == 8).await;
    let starts = u32::try_from(world.script.runs().len()).expect("a few");
    assert!(starts > 2 * MESSAGES, "the bisection starts handlers again and again: {starts}");
    world.push("b", 1).await;
    until(|| world.applied().len() == 8).await;
    let waited = world.script.runs_of("b-1")[0].at - began;
    let recovered = EACH * (starts + 1 - MESSAGES);
    assert!((recovered..recovered + EACH / 10).contains(&waited), "{waited:?} after {starts} starts");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_run_has_used_the_permits_of_its_starts() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.always("a-3", Action::Take(seconds(5)));
    let limit = ten_per_minute();
    let consumer = start(world.billing().gate(limit.clone()));
    until(|| !world.script.runs_of("a-3").is_empty()).await;
    let started = world.script.runs().len() as u32;
    consumer.kill().await;
    assert_eq!(free(&limit), MESSAGES - started);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_pass_gives_back_what_has_not_started() {
    let (limit, mut gates) = (ten_per_minute(), Gates::default());
    gates.push(limit.clone());
    let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 5, bytes: 1 };
    let mut cx = Context::from_waker(Waker::noop());
    for (started, left) in [(0, 10), (3, 7), (5, 2)] {
        let Poll::Ready((pass, 5)) = gates.poll_admit(&view, &mut cx) else { panic!("five are free") };
        pass.started(started);
        drop(pass);
        assert_eq!(free(&limit), left);
    }
}
