//! A closed gate delays all messages and fails none; all permits are returned.

use std::task::{Context, Poll, Waker};

use messagekit::adapter::{FailureKind, Lane};
use messagekit::gate::{BatchView, BreakerState, CircuitBreaker, Concurrency, Gates, Outcome, RateLimit};
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, ErrorKind, OnFailure};
use messagekit_memory::TestGate;

use crate::counted::{Counted, Counts};
use crate::fixture::{
    Action, CALM, CALM_KEY, CONSUMER, FIFTY, World, names, pass, placed, seconds, start, until,
};
use crate::flaky::{Call, Flaky};

/// Number of messages in a lane at which it pauses.
const WINDOW: usize = 500;
/// Gate slot of due failed messages.
const FAILED_MESSAGES: u32 = u32::MAX;

/// No retry comes in between.
fn a_day() -> Backoff {
    Backoff::fixed(seconds(24 * 60 * 60))
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_back_in_bounded_memory_until_it_opens() {
    let world = World::new(1);
    world.push_all("a", 3_000).await;
    let (gate, counts) = (TestGate::new(), Counts::default());
    gate.close();
    let consumer = start(world.billing_from(Counted::new(world.topics(), &counts)).gate(gate.clone()));
    pass(seconds(300)).await;
    assert_eq!((world.script.runs().len(), world.store.open_transactions()), (0, 0));
    assert_eq!(counts.pulled(), WINDOW, "the lane is full and pulls no more");
    assert_eq!(counts.pauses_and_resumes(), (1, 0));
    assert_eq!((gate.admissions(), world.committed(0)), (0, 0));

    gate.open();
    pass(seconds(1)).await;
    assert_eq!(world.applied(), names("a", 3_000));
    assert!(world.script.runs().iter().all(|run| run.attempt == 1));
    assert_eq!(gate.outcomes().len() + gate.abandoned() as usize, gate.admissions());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn slow_handler_bounds_pulled_messages_and_all_are_settled() {
    let world = World::new(1);
    world.push_all("a", 2_000).await;
    world.script.always("a-1", Action::Take(seconds(20)));
    let counts = Counts::default();
    let consumer = start(world.billing_from(Counted::new(world.topics(), &counts)));
    pass(seconds(10)).await;
    let batch = FIFTY.messages.get() as usize;
    assert!(counts.pulled() <= WINDOW + batch, "{} pulled", counts.pulled());
    until(|| world.applied().len() == 2_000).await;
    let (pauses, resumes) = counts.pauses_and_resumes();
    assert!(pauses >= 1 && resumes == pauses, "{pauses} pauses, {resumes} resumes");
    consumer.stop().await;
    assert_eq!(counts.back(), counts.pulled(), "every receipt came back");
}

#[tokio::test(start_paused = true)]
async fn large_messages_fill_the_window_by_their_bytes() {
    let world = World::new(1);
    for n in 1..=40 {
        let mut message = placed("a", n);
        let padded = format!("{}{}", String::from_utf8_lossy(&message.payload), " ".repeat(800_000));
        message.payload = padded.into_bytes().into();
        world.publish(message).await;
    }
    let (gate, counts) = (TestGate::new(), Counts::default());
    gate.close();
    let consumer = start(world.billing_from(Counted::new(world.topics(), &counts)).gate(gate.clone()));
    pass(seconds(10)).await;
    assert_eq!(counts.pulled(), 11, "8 MiB and what crossed the line");
    gate.open();
    until(|| world.applied().len() == 40).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_grant_of_one_makes_batches_of_one() {
    let world = World::new(1);
    world.push_all("a", 30).await;
    let gate = TestGate::new();
    gate.limit(1);
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| world.applied().len() == 30).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.batches, stats.handled), (30, 30));
    let used: u32 = gate.outcomes().iter().map(|outcome| outcome.used).sum();
    assert_eq!(used, 30);
}

#[tokio::test(start_paused = true)]
async fn gates_learn_how_it_ended_and_how_much_was_used() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.next("a-1", [Action::Unavailable]);
    world.script.always("a-2", Action::Permanent);
    let gate = TestGate::new();
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| world.committed(0) == 4).await;
    world.script.always("a-5", Action::Permanent);
    world.push("a", 5).await;
    until(|| world.committed(0) == 5).await;
    consumer.stop().await;
    let of_lanes: Vec<Outcome> =
        gate.outcomes().into_iter().filter(|outcome| *outcome != Outcome::default()).collect();
    let outcome = |used, handled, failed| Outcome { used, handled, failed };
    assert_eq!(
        of_lanes,
        [
            outcome(1, false, vec![FailureKind::Unavailable]),
            outcome(5, true, vec![]),
            outcome(1, false, vec![FailureKind::Permanent])
        ],
        "each start is used, that of a-1 before the failure of a-2 too; the failures behind the last handled message have a kind"
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_while_handlers_report_unavailable() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-1", Action::Unavailable);
    let breaker = CircuitBreaker::new(3, seconds(60));
    let consumer = start(world.billing().gate(breaker.clone()));
    pass(seconds(30)).await;
    assert_eq!((world.script.runs().len(), breaker.state()), (3, BreakerState::Open));
    pass(seconds(60)).await;
    assert_eq!((world.script.runs().len(), breaker.state()), (4, BreakerState::Open), "one has tried");
    world.script.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(breaker.state(), BreakerState::Closed);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_after_failed_runs_in_a_row() {
    let world = World::new(1);
    world.push_all("a", 7).await;
    for failing in ["a-1", "a-2", "a-4", "a-5", "a-6"] {
        world.script.always(failing, Action::Fail);
    }
    let breaker = CircuitBreaker::new(3, seconds(60));
    let consumer = start(
        world.billing().on_failure(OnFailure::DeadLetter).backoff(a_day()).one_by_one().gate(breaker.clone()),
    );
    pass(seconds(1)).await;
    assert_eq!(world.applied(), ["a-3"], "two failures are no row of three");
    assert_eq!((world.committed(0), breaker.state()), (6, BreakerState::Open));
    pass(seconds(60)).await;
    assert_eq!((world.applied(), breaker.state()), (vec!["a-3".into(), "a-7".into()], BreakerState::Closed));
    consumer.stop().await;
}

/// The whole batch is one admission: each of its failed runs counts all the same.
#[tokio::test(start_paused = true)]
async fn a_breaker_counts_each_failed_run_of_a_batch() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    for failing in ["a-2", "a-3", "a-4"] {
        world.script.always(failing, Action::Fail);
    }
    let breaker = CircuitBreaker::new(3, seconds(60));
    let builder = world.billing().on_failure(OnFailure::DeadLetter).backoff(a_day());
    let consumer = start(builder.gate(breaker.clone()));
    until(|| world.committed(0) == 4).await;
    assert_eq!((world.applied(), breaker.state()), (vec!["a-1".into()], BreakerState::Open));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_counts_the_kinds_that_are_chosen() {
    for (kind, act) in [
        (FailureKind::Failed, Action::Fail),
        (FailureKind::Permanent, Action::Permanent),
        (FailureKind::Panicked, Action::Panic),
    ] {
        let world = World::new(1);
        world.push("a", 1).await;
        world.script.always("a-1", act);
        let counting = |counted| CircuitBreaker::counting(1, seconds(60), move |kind| kind == counted);
        let (counts, other) = (counting(kind), counting(FailureKind::TooSlow));
        let consumer = start(world.billing().backoff(a_day()).gate(counts.clone()).gate(other.clone()));
        until(|| world.committed(0) == 1).await;
        assert_eq!((counts.state(), other.state()), (BreakerState::Open, BreakerState::Closed), "{kind}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_holds_back_also_when_nothing_waits() {
    let world = World::new(1);
    world.push("a", 1).await;
    world.script.always("a-1", Action::Fail);
    let breaker = CircuitBreaker::new(1, seconds(60));
    let consumer = start(world.billing().backoff(a_day()).gate(breaker.clone()));
    until(|| world.committed(0) == 1).await;
    pass(seconds(20)).await;
    let held_back = consumer.stats.held_back_by().map(|(gate, since)| (gate, since.as_secs()));
    assert_eq!((breaker.state(), held_back), (BreakerState::Open, Some(("circuit_breaker", 20))));
    pass(seconds(60)).await;
    assert_eq!((breaker.state(), consumer.stats.held_back_by()), (BreakerState::HalfOpen, None));
    consumer.stop().await;
}

/// Consumers of other databases may share the breaker, which protects a dependency of the handlers.
#[tokio::test(start_paused = true)]
async fn a_breaker_stays_closed_while_the_store_is_away() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Begin, ErrorKind::Unavailable);
    let breaker = CircuitBreaker::new(1, seconds(60));
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).gate(breaker.clone()));
    pass(seconds(300)).await;
    assert_eq!(breaker.state(), BreakerState::Closed);
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_later_gate_that_waits_gives_the_earlier_permits_back() {
    let world = World::new(1);
    world.push_all("a", 30).await;
    let (first, second) = (TestGate::new(), TestGate::new());
    second.close();
    let consumer = start(world.billing().gate(first.clone()).gate(second.clone()));
    pass(seconds(60)).await;
    assert!(first.admissions() > 0);
    assert_eq!(first.abandoned() as usize, first.admissions(), "all or nothing");
    assert_eq!(world.script.runs().len(), 0);
    second.open();
    until(|| world.applied().len() == 30).await;
    consumer.stop().await;
    assert!(first.asked() >= second.asked(), "gates are polled in the order in which they were added");
}

#[tokio::test(start_paused = true)]
async fn the_smallest_grant_of_the_chain_counts_for_all() {
    let world = World::new(1);
    let (wide, narrow) = (TestGate::new(), TestGate::new());
    narrow.limit(3);
    let consumer = world.start_calm(world.billing().gate(wide.clone()).gate(narrow.clone())).await;
    let before = consumer.read().batches;
    world.push_all("a", 12).await;
    until(|| world.applied().len() == 12).await;
    assert_eq!(consumer.stop().await.batches - before, 4);
    assert_eq!(wide.outcomes().iter().map(|outcome| outcome.used).max(), Some(3));
}

#[tokio::test(start_paused = true)]
async fn permits_return_when_consumer_is_dropped_or_loses_its_lane() {
    let world = World::new(2);
    world.push_all("a", 5).await;
    world.push_all("b", 5).await;
    for id in ["a-1", "b-1"] {
        world.script.always(id, Action::Take(seconds(5)));
    }
    let gate = TestGate::new();
    let outstanding = || gate.admissions() - gate.outcomes().len() - gate.abandoned() as usize;
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| world.script.runs().len() == 2).await;
    assert!(outstanding() >= 1);
    world.log.lose(CONSUMER);
    let used = || gate.outcomes().iter().map(|outcome| outcome.used).sum::<u32>();
    until(|| used() >= 2).await;
    world.script.always("a-6", Action::Take(seconds(5)));
    world.push("a", 6).await;
    until(|| !world.script.runs_of("a-6").is_empty()).await;
    consumer.kill().await;
    assert_eq!(outstanding(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_lane_keeps_its_permit_until_its_handler_ends() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Action::Take(seconds(5)));
    let limit = Concurrency::new(1);
    let consumer = start(world.billing().gate(limit.clone()));
    until(|| world.script.runs().len() == 1).await;
    world.log.lose(CONSUMER);
    // The lane is assigned anew at once, and its records come again.
    pass(seconds(3)).await;
    assert_eq!((limit.in_use(), world.script.runs().len()), (1, 1), "one handler at a time");
    until(|| world.applied().len() == 2).await;
    consumer.stop().await;
    assert_eq!(limit.in_use(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_messages_pass_the_gates_too() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::Fail]);
    let gate = TestGate::new();
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| consumer.read().set_aside == 1).await;
    gate.close();
    pass(seconds(300)).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.crash_count),
        (FailedMessageState::RetryScheduled, 1, 0)
    );
    gate.open();
    pass(seconds(1)).await;
    assert_eq!(world.applied(), ["a-1"]);
    assert!(gate.admitted().iter().any(|view| view.lane.slot == FAILED_MESSAGES));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn consumers_that_share_permits_never_exceed_them() {
    let world = World::new(1);
    let permits = Concurrency::new(1);
    let consumers = ["billing", "audit"].map(|name| start(world.consumer(name).gate(permits.clone())));
    let handled = |each: u64| consumers.iter().all(|consumer| consumer.read().handled == each);
    let mut most = 0;
    let mut until_handled = async |each| {
        until(|| {
            most = most.max(world.store.open_transactions());
            handled(each)
        })
        .await;
    };
    world.push_all(CALM_KEY, CALM).await;
    until_handled(CALM as u64).await;
    world.push_all("a", 20).await;
    (1..=20).for_each(|n| world.script.always(&format!("a-{n}"), Action::Take(seconds(1))));
    until_handled(CALM as u64 + 20).await;
    assert_eq!((most, permits.in_use()), (1, 0));
    for consumer in consumers {
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn closed_gate_is_shown_by_name_and_duration() {
    let world = World::new(1);
    world.push_all("a", 10).await;
    let gate = TestGate::new();
    gate.close();
    let consumer = start(world.billing().gate(RateLimit::per_second(100)).gate(gate.clone()));
    pass(seconds(300)).await;
    let (name, since) = consumer.stats.held_back_by().expect("it is closed");
    assert_eq!((name, since.as_secs()), ("test", 300));
    let closed = || consumer.stats.gates().iter().map(|gate| gate.closed.is_some()).collect::<Vec<_>>();
    assert_eq!((closed(), consumer.stats.read().handled), (vec![false, true], 0));

    gate.open();
    until(|| world.applied().len() == 10).await;
    let waited = consumer.stats.gates()[1].waited.as_secs();
    assert_eq!((consumer.stats.held_back_by(), closed(), waited), (None, vec![false, false], 300));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_moved_away_is_no_longer_held_back_by_its_gate() {
    let mut cx = Context::from_waker(Waker::noop());
    let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 1, bytes: 1 };
    let (gate, mut gates) = (TestGate::new(), Gates::default());
    gates.push(gate.clone());
    gate.close();
    for passed in 0..10 {
        assert!(gates.poll_admit(&view, &mut cx).is_pending());
        gates.rest();
        assert_eq!(gates.states().held_back_by(), Some(("test", seconds(passed))));
        tokio::time::advance(seconds(1)).await;
    }
    // The lane moved to another process.
    gates.rest();
    assert_eq!(gates.states().held_back_by(), None);
    assert!(gates.poll_admit(&view, &mut cx).is_pending());
    assert_eq!(gates.states().held_back_by(), Some(("test", seconds(0))), "it begins again");
}

#[tokio::test(start_paused = true)]
async fn a_loop_that_ends_is_held_back_by_no_gate() {
    let mut cx = Context::from_waker(Waker::noop());
    let view = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 1, bytes: 1 };
    let (gate, mut gates) = (TestGate::new(), Gates::default());
    gates.push(CircuitBreaker::new(1, seconds(1)));
    gates.push(gate.clone());
    let Poll::Ready((pass, _)) = gates.poll_admit(&view, &mut cx) else { panic!("all are open") };
    gates.settle(pass, &Outcome { used: 1, handled: false, failed: vec![FailureKind::Failed] });
    tokio::time::advance(seconds(2)).await;
    gate.close();
    assert!(gates.poll_admit(&view, &mut cx).is_pending());
    let states = gates.states();
    let shown =
        || states.read().iter().map(|gate| (gate.closed.is_some(), gate.is_trying)).collect::<Vec<_>>();
    assert_eq!(shown(), [(false, true), (true, false)]);
    drop(gates);
    assert_eq!((shown(), states.held_back_by()), (vec![(false, false); 2], None));
}
