//! A handler in two phases: its call is made outside of any transaction, and its effects get the result.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use messagekit::adapter::{BatchLimit, Inbox};
use messagekit::gate::{BreakerState, CircuitBreaker};
use messagekit::handler::Inner;
use messagekit::operations::FailedMessageState::{Dead, Resolved};
use messagekit::{
    Backoff, Claim, Consumer, ConsumerBuilder, DeliveryInfo, Envelope, ErrorKind, HandlerError, Middleware,
    OnFailure, Store,
};
use messagekit_memory::{MemorySource, MemoryStore, MemoryTx, TestGate};
use serde_json::Value;

use crate::fixture::{
    Action, CONSUMER, FIFTY, Placed, Script, World, apply, names, pass, placed, seconds, start, until,
};
use crate::flaky::{Call, Flaky};

/// A service that charges orders, and the effects of a charge.
struct Payments {
    calls: Script,
    effects: Arc<Script>,
    in_flight: AtomicUsize,
    most_in_flight: AtomicUsize,
    receipts: Mutex<Vec<String>>,
}

struct Receipt {
    of: String,
}

struct InFlight<'a>(&'a AtomicUsize);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Payments {
    fn new(world: &World) -> Arc<Self> {
        let (in_flight, most_in_flight, receipts) = Default::default();
        let (calls, effects) = (Script::new(&world.store), Arc::clone(&world.script));
        Arc::new(Self { calls, effects, in_flight, most_in_flight, receipts })
    }

    async fn charge(&self, order: Envelope<Placed>) -> Result<Receipt, HandlerError> {
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let _in_flight = InFlight(&self.in_flight);
        // Others begin beside it.
        tokio::task::yield_now().await;
        self.calls.play(&order).await?;
        Ok(Receipt { of: order.event_id.to_string() })
    }

    async fn book(
        &self,
        tx: &mut MemoryTx,
        order: Envelope<Placed>,
        receipt: &Receipt,
    ) -> Result<(), HandlerError> {
        assert_eq!(receipt.of, order.event_id.to_string(), "the result belongs to the event");
        apply(&self.effects, tx, order).await?;
        self.receipts.lock().expect("receipts").push(receipt.of.clone());
        Ok(())
    }

    fn calls_of(&self, id: &str) -> usize {
        self.calls.runs_of(id).len()
    }
}

fn billing(world: &World, payments: &Arc<Payments>) -> ConsumerBuilder<MemoryStore, MemorySource> {
    billing_on(world, payments, world.store.clone())
}

fn billing_on<S: Inbox<Tx = MemoryTx>>(
    world: &World,
    payments: &Arc<Payments>,
    store: S,
) -> ConsumerBuilder<S, MemorySource> {
    Consumer::builder(CONSUMER, store)
        .from(world.topics())
        .batch(FIFTY)
        .backoff(Backoff::fixed(seconds(1)))
        .on_failure(OnFailure::DeadLetter)
        .on_call_with(Arc::clone(payments), Payments::charge, Payments::book)
}

fn at_once(calls: u32) -> NonZeroU32 {
    NonZeroU32::new(calls).expect("at least one")
}

/// Returns one event for each of these keys.
fn one_each(keys: impl IntoIterator<Item = impl ToString>) -> Vec<messagekit::Message> {
    keys.into_iter().map(|key| placed(&key.to_string(), 1)).collect()
}

#[tokio::test(start_paused = true)]
async fn effects_get_what_the_call_returned() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    world.push_all("a", 3).await;
    let consumer = start(billing(&world, &payments));
    until(|| world.applied() == names("a", 3)).await;
    assert_eq!(*payments.receipts.lock().expect("receipts"), names("a", 3));
    assert_eq!(payments.calls.runs().len(), 3);
    assert_eq!(consumer.stop().await.handled, 3);
}

#[tokio::test(start_paused = true)]
async fn functions_and_json_have_two_phases_too() {
    async fn length(order: Envelope<Value>) -> Result<usize, HandlerError> {
        Ok(order.data["order"].as_str().unwrap_or_default().len())
    }
    async fn add(tx: &mut MemoryTx, _: Envelope<Value>, length: &usize) -> Result<(), HandlerError> {
        tx.add("length", i64::try_from(*length).expect("a short text"));
        Ok(())
    }
    let world = World::new(1);
    world.push("four", 1).await;
    let as_json = Consumer::builder("json", world.store.clone()).from(world.topics()).on_json_call(
        "orders.order.placed",
        length,
        add,
    );
    let twice = 2;
    let typed = Consumer::builder("typed", world.store.clone()).from(world.topics()).on_call(
        move |order: Envelope<Placed>| async move { Ok(order.data.n * twice) },
        async |tx: &mut MemoryTx, _: Envelope<Placed>, doubled: &i64| {
            tx.add("doubled", *doubled);
            Ok(())
        },
    );
    async fn fee(rate: &i64, order: Envelope<Value>) -> Result<i64, HandlerError> {
        Ok(rate * order.data["n"].as_i64().expect("a number"))
    }
    async fn book(rate: &i64, tx: &mut MemoryTx, _: Envelope<Value>, fee: &i64) -> Result<(), HandlerError> {
        tx.add("fees", fee + rate);
        Ok(())
    }
    let with_state = Consumer::builder("tariff", world.store.clone()).from(world.topics()).on_json_call_with(
        "orders.order.placed",
        Arc::new(30),
        fee,
        book,
    );
    let (as_json, typed, with_state) = (start(as_json), start(typed), start(with_state));
    let get = |name: &str| world.store.get(name);
    until(|| (get("length"), get("doubled"), get("fees")) == (4, 2, 60)).await;
    as_json.stop().await;
    typed.stop().await;
    with_state.stop().await;
}

#[tokio::test(start_paused = true)]
async fn each_phase_has_the_whole_deadline() {
    fn left(order: &Envelope<Placed>) -> Option<Duration> {
        order.delivery().and_then(DeliveryInfo::time_left)
    }
    async fn call(order: Envelope<Placed>) -> Result<Option<Duration>, HandlerError> {
        let at_the_call = left(&order);
        tokio::time::sleep(seconds(3)).await;
        Ok(at_the_call)
    }
    async fn effects(
        tx: &mut MemoryTx,
        order: Envelope<Placed>,
        at_the_call: &Option<Duration>,
    ) -> Result<(), HandlerError> {
        tx.add("whole", i64::from([*at_the_call, left(&order)] == [Some(seconds(7)); 2]));
        Ok(())
    }
    let world = World::new(1);
    world.push("a", 1).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.topics());
    let consumer = start(builder.deadline(seconds(7)).on_call(call, effects));
    until(|| world.committed(0) == 1).await;
    assert_eq!(world.store.get("whole"), 1);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_run_side_by_side_and_effects_in_order() {
    for most in [1, 3, 8] {
        let world = World::new(1);
        let payments = Payments::new(&world);
        let ids: Vec<String> = (0..24).map(|key| format!("k{key}-1")).collect();
        // The first calls end last.
        for (n, id) in ids.iter().enumerate() {
            payments.calls.always(id, Action::Take(Duration::from_millis(500 - 20 * n as u64)));
        }
        world.publish_all(&one_each((0..24).map(|key| format!("k{key}")))).await;
        let consumer = start(billing(&world, &payments).calls_at_once(at_once(most)));
        until(|| world.applied().len() == 24).await;
        assert_eq!(world.applied(), ids, "{most} at once");
        assert_eq!(payments.most_in_flight.load(Ordering::Relaxed), most as usize);
        assert!(ids.iter().all(|id| payments.calls_of(id) == 1));
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn calls_of_one_key_follow_each_other() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    for n in 1..=5 {
        payments.calls.always(&format!("a-{n}"), Action::Take(Duration::from_millis(5)));
    }
    world.publish_all(&(1..=5).map(|n| placed("a", n)).collect::<Vec<_>>()).await;
    let consumer = start(billing(&world, &payments));
    until(|| world.applied() == names("a", 5)).await;
    assert_eq!(payments.most_in_flight.load(Ordering::Relaxed), 1);
    let called: Vec<String> = payments.calls.runs().into_iter().map(|run| run.id).collect();
    assert_eq!(called, names("a", 5));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_done_is_not_called_again() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    world.push_all("a", 2).await;
    let consumer = start(billing(&world, &payments));
    until(|| world.applied().len() == 2).await;
    // Copies of both, and of a new one twice in one batch.
    world.publish_all(&[placed("a", 1), placed("a", 3), placed("a", 2), placed("a", 3)]).await;
    until(|| consumer.read().duplicates == 3).await;
    assert_eq!(world.applied(), names("a", 3));
    assert!(names("a", 3).iter().all(|id| payments.calls_of(id) == 1), "{:?}", payments.calls.runs());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn effects_that_are_rolled_back_repeat_no_call() {
    for action in [Action::Conflict, Action::Outage, Action::TransactionTimeout, Action::Swallow] {
        let world = World::new(1);
        let payments = Payments::new(&world);
        world.publish_all(&one_each('a'..='h')).await;
        world.script.next("d-1", [action]);
        let consumer = start(billing(&world, &payments));
        until(|| world.applied().len() == 8).await;
        assert!(world.script.runs().len() > 8, "{action:?}: effects ran again");
        assert_eq!(payments.calls.runs().len(), 8, "{action:?}");
        assert_eq!(world.failed_messages_now(), 0);
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_at_the_commit_repeats_no_call() {
    for call in [Call::Claim, Call::Advance, Call::Commit] {
        let world = World::new(1);
        let payments = Payments::new(&world);
        let store = Flaky::new(&world.store);
        world.publish_all(&one_each('a'..='d')).await;
        // The store answers until the calls are made.
        payments.calls.always("a-1", Action::Take(seconds(2)));
        let consumer = start(billing_on(&world, &payments, store.clone()));
        until(|| payments.calls.runs().len() == 4).await;
        store.fail(call, ErrorKind::Unavailable);
        pass(seconds(60)).await;
        assert_eq!(world.applied(), Vec::<String>::new(), "{call:?}");
        store.heal();
        until(|| world.applied().len() == 4).await;
        assert_eq!(payments.calls.runs().len(), 4, "{call:?}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_one_failed_message() {
    let cases = [
        (Action::Fail, "failed", "no stock yet"),
        (Action::Foreign, "failed", "invalid digit"),
        (Action::Panic, "panicked", "call panicked: boom"),
        (Action::Permanent, "permanent", "no such customer"),
        (Action::Take(seconds(40)), "too_slow", "call did not end within its deadline"),
    ];
    for (action, kind, error) in cases {
        let world = World::new(1);
        let payments = Payments::new(&world);
        world.publish_all(&one_each('a'..='h')).await;
        payments.calls.next("d-1", [action]);
        payments.calls.next("f-1", [action]);
        let consumer = start(billing(&world, &payments).backoff(Backoff::fixed(seconds(600))));
        until(|| world.applied().len() == 6).await;
        until(|| world.failed_messages_now() == 2).await;
        assert_eq!(payments.calls.runs().len(), 8, "{kind}: each was called once");
        for id in ["d-1", "f-1"] {
            let failed = world.failed_message(id).await;
            assert_eq!((&*failed.kind, failed.attempts), (kind, 1));
            assert!(failed.error.contains(error), "{}", failed.error);
            assert_eq!(failed.state == Dead, action == Action::Permanent);
        }
        assert!(world.script.runs().iter().all(|run| run.id != "d-1"), "{kind}: no effects without a call");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_run_begins_anew_with_its_call() {
    for policy in [OnFailure::DeadLetter, OnFailure::ParkKey, OnFailure::Block] {
        for (calls, effects) in [(vec![Action::Fail; 2], vec![]), (vec![], vec![Action::Fail; 2])] {
            let world = World::new(1);
            let payments = Payments::new(&world);
            payments.calls.next("a-1", calls.clone());
            world.script.next("a-1", effects.clone());
            world.publish_all(&[placed("a", 1), placed("a", 2), placed("b", 1)]).await;
            let consumer = start(billing(&world, &payments).on_failure(policy));
            until(|| world.applied().len() == 3).await;
            assert_eq!(payments.calls.attempts_of("a-1"), [1, 2, 3], "{policy:?}");
            assert_eq!(world.script.runs_of("a-1").len(), 1 + effects.len());
            // It was called before the effects of the first failed, and is parked behind that one.
            let parked = policy == OnFailure::ParkKey && !effects.is_empty();
            assert_eq!(payments.calls_of("a-2"), 1 + usize::from(parked), "{policy:?}");
            assert_eq!(payments.calls_of("b-1"), 1, "{policy:?}");
            if policy != OnFailure::DeadLetter {
                let of_a: Vec<String> =
                    world.applied().into_iter().filter(|id| id.starts_with('a')).collect();
                assert_eq!(of_a, names("a", 2), "{policy:?}");
            }
            consumer.stop().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_behind_a_blocked_key_waits_with_its_call() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    payments.calls.always("a-1", Action::Fail);
    world.publish_all(&(1..=3).map(|n| placed("a", n)).collect::<Vec<_>>()).await;
    let consumer = start(billing(&world, &payments).on_failure(OnFailure::ParkKey));
    until(|| world.failed_messages_now() == 3).await;
    pass(seconds(5)).await;
    assert_eq!((payments.calls_of("a-2"), payments.calls_of("a-3")), (0, 0));
    payments.calls.heal();
    until(|| world.applied() == names("a", 3)).await;
    assert_eq!((payments.calls_of("a-2"), payments.calls_of("a-3")), (1, 1));
    assert_eq!(world.failed_message("a-3").await.state, Resolved);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_call_passes_a_failed_one_of_its_key() {
    for (policy, at_most) in
        [(OnFailure::ParkKey, 8), (OnFailure::ParkKey, 2), (OnFailure::Block, 8), (OnFailure::Block, 2)]
    {
        let world = World::new(1);
        let payments = Payments::new(&world);
        // Others fail or are late before it, so it is answered in a later round.
        payments.calls.next("b-1", [Action::Fail]);
        payments.calls.next("a-1", [Action::Fail; 3]);
        ["c-1", "c-2", "d-1"].iter().for_each(|id| payments.calls.next(id, [Action::Take(seconds(1))]));
        let messages = [("b", 1), ("c", 1), ("c", 2), ("a", 1), ("a", 2), ("d", 1), ("a", 3)]
            .map(|(key, n)| placed(key, n));
        world.publish_all(&messages).await;
        let consumer = start(billing(&world, &payments).on_failure(policy).calls_at_once(at_once(at_most)));
        until(|| world.applied().len() == messages.len()).await;
        let of_a: Vec<String> =
            payments.calls.runs().into_iter().map(|run| run.id).filter(|id| id.starts_with('a')).collect();
        assert_eq!(of_a, ["a-1", "a-1", "a-1", "a-1", "a-2", "a-3"], "{policy:?}, {at_most} at once");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lane_that_is_blocked_calls_for_no_later_message() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    let mut unreadable = placed("b", 1);
    unreadable.payload = "{".into();
    world.publish_all(&[placed("a", 1), unreadable, placed("c", 1), placed("b", 2)]).await;
    let consumer = start(billing(&world, &payments).on_failure(OnFailure::Block));
    until(|| consumer.stats.connection().blocked == 1).await;
    pass(seconds(60)).await;
    assert_eq!((world.applied(), payments.calls.runs().len()), (names("a", 1), 1));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_lane_tries_an_unavailable_service_with_one_call() {
    let world = World::new(1);
    let (payments, gate) = (Payments::new(&world), TestGate::new());
    ('a'..='h').for_each(|key| payments.calls.always(&format!("{key}-1"), Action::Unavailable));
    world.publish_all(&one_each('a'..='h')).await;
    let consumer = start(billing(&world, &payments).gate(gate.clone()));
    pass(seconds(30)).await;
    let outcomes: Vec<_> = gate.outcomes().into_iter().filter(|outcome| outcome.used > 0).collect();
    assert_eq!((outcomes[0].used, outcomes[0].failed.len()), (8, 8), "the gate hears of each");
    assert!(outcomes.len() > 3);
    assert!(
        outcomes[1..].iter().all(|outcome| outcome.used == 1 && outcome.failed.len() == 1),
        "{outcomes:?}"
    );
    payments.calls.heal();
    until(|| world.applied().len() == 8).await;
    consumer.stop().await;
}

/// One key has a healthy service and many messages, another one a service that is away.
#[tokio::test(start_paused = true)]
async fn an_absent_service_is_not_called_beside_a_healthy_one() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    (1..=20).for_each(|n| payments.calls.always(&format!("a-{n}"), Action::Take(seconds(1))));
    payments.calls.always("b-1", Action::Unavailable);
    let of_a = (1..=20).map(|n| placed("a", n));
    let messages: Vec<_> = of_a.clone().take(3).chain([placed("b", 1)]).chain(of_a.skip(3)).collect();
    world.publish_all(&messages).await;
    let consumer =
        start(billing(&world, &payments).batch(BatchLimit { time: Duration::from_millis(50), ..FIFTY }));
    until(|| world.applied().len() == 3).await;
    assert!(payments.calls_of("b-1") <= 2, "{:?}", payments.calls.runs());
    payments.calls.heal();
    until(|| world.applied().len() == 21).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn effects_that_wait_call_for_nothing_behind_them() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    world.script.always("a-1", Action::Unavailable);
    world.publish_all(&(1..=5).map(|n| placed("a", n)).collect::<Vec<_>>()).await;
    let batch = BatchLimit { time: Duration::ZERO, ..FIFTY };
    let consumer = start(billing(&world, &payments).batch(batch).on_failure(OnFailure::ParkKey));
    until(|| world.script.runs_of("a-1").len() > 20).await;
    assert_eq!(payments.calls.runs().len(), 1, "its result is kept, and no later one is called");
    until(|| world.failed_messages_now() == 5).await;
    assert!((2..=5).all(|n| payments.calls_of(&format!("a-{n}")) == 0), "{:?}", payments.calls.runs());
    world.script.heal();
    until(|| world.applied() == names("a", 5)).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_kept_result_says_nothing_to_a_breaker() {
    let world = World::new(1);
    let (payments, gate) = (Payments::new(&world), TestGate::new());
    world.script.next("a-1", [Action::Outage; 2]);
    world.push("a", 1).await;
    let consumer = start(billing(&world, &payments).gate(gate.clone()));
    until(|| world.applied().len() == 1).await;
    consumer.stop().await;
    let outcomes = gate.outcomes();
    assert_eq!(payments.calls.runs().len(), 1);
    assert!(outcomes[1..].iter().all(|outcome| !outcome.handled), "{outcomes:?}");
}

#[tokio::test(start_paused = true)]
async fn what_failed_beside_a_blocked_message_is_called_again() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    ('a'..='d').for_each(|key| payments.calls.always(&format!("{key}-1"), Action::Fail));
    world.publish_all(&one_each('a'..='d')).await;
    let consumer =
        start(billing(&world, &payments).on_failure(OnFailure::Block).backoff(Backoff::fixed(seconds(10))));
    until(|| payments.calls_of("a-1") == 1).await;
    payments.calls.heal();
    let healed = tokio::time::Instant::now();
    until(|| world.applied().len() == 4).await;
    assert!(healed.elapsed() < seconds(15), "the others wait for no old failure: {:?}", healed.elapsed());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_repeats_effects_and_not_its_call() {
    for action in [Action::Conflict, Action::Swallow] {
        let world = World::new(1);
        let payments = Payments::new(&world);
        payments.calls.next("a-1", [Action::Fail]);
        world.script.next("a-1", [action; 3]);
        world.push("a", 1).await;
        let consumer = start(billing(&world, &payments));
        until(|| world.applied().len() == 1).await;
        let calls = if action == Action::Conflict { 2 } else { 5 };
        assert_eq!(payments.calls_of("a-1"), calls, "{action:?}: a failed run begins with its call");
        assert_eq!(world.script.runs_of("a-1").len(), 4);
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_service_is_left_alone() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    let ids: Vec<String> = ('a'..='z').map(|key| format!("{key}-1")).collect();
    ids.iter().for_each(|id| payments.calls.always(id, Action::Unavailable));
    world.publish_all(&one_each('a'..='z')).await;
    let breaker = CircuitBreaker::new(2, seconds(30));
    let consumer = start(billing(&world, &payments).calls_at_once(at_once(2)).gate(breaker.clone()));
    until(|| breaker.state() == BreakerState::Open).await;
    let before = payments.calls.runs().len();
    assert!(before <= 6, "two at once until it is open: {before}");
    pass(seconds(25)).await;
    assert_eq!(payments.calls.runs().len(), before, "the gate holds calls back");
    payments.calls.heal();
    until(|| world.applied().len() == 26).await;
    assert_eq!((world.applied(), world.failed_messages_now()), (ids, 0));
    assert!(payments.calls.runs().iter().all(|run| run.attempt == 1), "it costs no attempt");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_counts_a_message_once() {
    let world = World::new(1);
    let (payments, gate) = (Payments::new(&world), TestGate::new());
    world.script.next("c-1", [Action::Conflict; 2]);
    world.publish_all(&one_each('a'..='f')).await;
    let consumer = start(billing(&world, &payments).gate(gate.clone()));
    until(|| world.applied().len() == 6).await;
    consumer.stop().await;
    assert_eq!(gate.outcomes().iter().map(|outcome| outcome.used).sum::<u32>(), 6);
}

#[tokio::test(start_paused = true)]
async fn what_was_called_is_committed_before_further_calls() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    ('a'..='z').for_each(|key| payments.calls.always(&format!("{key}-1"), Action::Take(seconds(1))));
    world.publish_all(&one_each('a'..='z')).await;
    let batch = BatchLimit { time: Duration::from_millis(50), ..FIFTY };
    let consumer = start(billing(&world, &payments).batch(batch).calls_at_once(at_once(4)));
    while world.applied().len() < 26 {
        let ahead = payments.calls.runs().len() - world.applied().len();
        assert!(ahead <= 4, "{ahead} calls without effects");
        pass(Duration::from_millis(100)).await;
    }
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_a_call_at_most_once() {
    let world = World::new(1);
    let payments = Payments::new(&world);
    world.script.next("b-1", [Action::Take(seconds(10))]);
    world.publish_all(&one_each('a'..='d')).await;
    let consumer = start(billing(&world, &payments));
    until(|| !world.script.runs_of("b-1").is_empty()).await;
    consumer.kill().await;
    assert_eq!((world.applied().len(), payments.calls.runs().len()), (0, 4));
    let consumer = start(billing(&world, &payments));
    until(|| world.applied().len() == 4).await;
    assert!(('a'..='d').all(|key| payments.calls_of(&format!("{key}-1")) == 2));
    assert_eq!(world.marker("a-1"), Some(Claim::Done));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_calls_end_and_cuts_off_those_that_do_not() {
    for (takes, applied) in [(seconds(20), 1), (seconds(3_000), 0)] {
        let world = World::new(1);
        let payments = Payments::new(&world);
        payments.calls.always("a-1", Action::Take(takes));
        world.push("a", 1).await;
        let consumer = start(billing(&world, &payments).deadline(seconds(4_000)));
        until(|| payments.calls_of("a-1") == 1).await;
        let before = tokio::time::Instant::now();
        consumer.stop().await;
        assert!(before.elapsed() <= seconds(35), "{takes:?}");
        assert_eq!(world.applied().len(), applied, "{takes:?}");
        assert_eq!(payments.in_flight.load(Ordering::Relaxed), 0, "nothing runs on");
        assert_eq!(world.failed_messages_now(), 0);
    }
}

/// Counts its runs.
struct Counted(Arc<AtomicUsize>);

#[async_trait]
impl<S: Store> Middleware<S> for Counted {
    async fn handle(&self, tx: &mut S::Tx, inner: Inner<'_, S>) -> Result<(), HandlerError> {
        self.0.fetch_add(1, Ordering::Relaxed);
        inner.run(tx).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_middleware_runs_around_the_effects() {
    let world = World::new(1);
    let (payments, runs) = (Payments::new(&world), Arc::new(AtomicUsize::new(0)));
    payments.calls.next("a-1", [Action::Fail]);
    world.push("a", 1).await;
    let consumer = start(billing(&world, &payments).wrap(Counted(Arc::clone(&runs))));
    until(|| world.applied().len() == 1).await;
    assert_eq!((payments.calls_of("a-1"), runs.load(Ordering::Relaxed)), (2, 1));
    consumer.stop().await;
}
