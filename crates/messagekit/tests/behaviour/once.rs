//! Each message's effect happens once, regardless of repeated deliveries.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::{Claim, Consumer, Envelope, ErrorKind, HandlerError, Store, claim};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};

use crate::counted::{Counted, Counts};
use crate::fixture::{
    Action, CONSUMER, Placed, Running, TOPIC, World, id, names, pass, placed, seconds, sorted, start, until,
};

const SLOW: Action = Action::Take(Duration::from_millis(7));

/// Creates forty messages of each of five keys, every third one slow.
async fn busy_world(partitions: usize) -> World {
    let world = World::new(partitions);
    for key in ["a", "b", "c", "d", "e"] {
        world.push_all(key, 40).await;
        (1..=40).step_by(3).for_each(|n| world.script.always(&format!("{key}-{n}"), SLOW));
    }
    world
}

#[track_caller]
fn assert_each_once_and_in_order(world: &World) {
    let applied = world.applied();
    for key in ["a", "b", "c", "d", "e"] {
        let of_key: Vec<_> = applied.iter().filter(|id| id.starts_with(key)).cloned().collect();
        assert_eq!(of_key, names(key, 40));
    }
    assert_eq!(applied.len(), 200);
    assert_eq!(world.store.open_transactions(), 0);
}

#[tokio::test(start_paused = true)]
async fn redelivery_of_everything_repeats_no_effect() {
    let world = busy_world(3).await;
    let consumer = start(world.billing());
    for _ in 0..20 {
        pass(Duration::from_millis(20)).await;
        world.log.redeliver(CONSUMER);
    }
    until(|| world.applied().len() >= 200 && (0..3).map(|p| world.committed(p)).sum::<i64>() == 200).await;
    world.log.redeliver(CONSUMER);
    until(|| (0..3).map(|p| world.committed(p)).sum::<i64>() == 200).await;
    let stats = consumer.stop().await;
    assert_each_once_and_in_order(&world);
    assert_eq!(stats.handled, 200);
    assert!(stats.duplicates >= 200, "the last redelivery alone brought 200 duplicates: {stats:?}");
}

#[tokio::test(start_paused = true)]
async fn lanes_lost_while_handlers_run_repeat_and_lose_nothing() {
    let world = busy_world(3).await;
    let consumer = start(world.billing());
    for _ in 0..60 {
        pass(Duration::from_millis(5)).await;
        world.log.lose(CONSUMER);
    }
    until(|| (0..3).map(|p| world.committed(p)).sum::<i64>() == 200).await;
    consumer.stop().await;
    assert_each_once_and_in_order(&world);
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_share_the_work_without_repeating_it() {
    let world = busy_world(6).await;
    let counts = Counts::default();
    let first = start(world.billing_from(Counted::new(world.topics(), &counts)));
    pass(Duration::from_millis(40)).await;
    let second = start(world.billing());
    pass(Duration::from_millis(40)).await;
    let third = start(world.billing());
    pass(Duration::from_millis(40)).await;
    let by_first = first.stop().await.handled;
    assert_eq!(counts.back(), counts.pulled(), "it has settled or given back whatever it had");
    pass(Duration::from_millis(40)).await;
    second.kill().await;
    until(|| world.applied().len() >= 200).await;
    let by_third = third.stop().await.handled;
    assert!(by_first > 0 && by_third > 0, "both worked: {by_first}, {by_third}");
    assert_each_once_and_in_order(&world);
}

#[tokio::test(start_paused = true)]
async fn another_consumer_gets_everything_again() {
    let world = World::new(2);
    world.push_all("a", 30).await;
    let (billing, shipping) = (start(world.consumer("billing")), start(world.consumer("shipping")));
    until(|| world.applied().len() >= 60).await;
    pass(seconds(5)).await;
    assert_eq!((billing.stop().await.handled, shipping.stop().await.handled), (30, 30));
    let twice: Vec<_> = names("a", 30).into_iter().flat_map(|id| [id.clone(), id]).collect();
    assert_eq!(sorted(world.applied()), sorted(twice));
}

/// The claim alone: one id, 10,000 times, sixteen workers on real threads.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn sixteen_workers_claiming_one_id_10_000_times_have_one_effect() {
    let store = MemoryStore::new();
    let workers = (0..16).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            let mut fresh = 0;
            for _ in 0..625 {
                fresh += u32::from(claim_until_answered(&store).await);
            }
            fresh
        })
    });
    let mut fresh = 0;
    for worker in workers.collect::<Vec<_>>() {
        fresh += worker.await.expect("the worker ends");
    }
    assert_eq!((fresh, store.get("paid")), (1, 1));
    assert_eq!(store.open_transactions(), 0);
}

async fn claim_until_answered(store: &MemoryStore) -> bool {
    loop {
        let mut tx = store.begin().await.expect("begin");
        match claim(store, &mut tx, "payments", &id("pay-7")).await {
            Ok(Claim::Fresh) => {
                tx.add("paid", 1);
                tokio::task::yield_now().await;
                store.commit(tx).await.expect("commit");
                return true;
            }
            Ok(answer) => {
                assert_eq!(answer, Claim::Done);
                return false;
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::Conflict, "{error:?}"),
        }
        tokio::task::yield_now().await;
    }
}

async fn pay(runs: &AtomicU32, tx: &mut MemoryTx, _: Envelope<Placed>) -> Result<(), HandlerError> {
    runs.fetch_add(1, Ordering::Relaxed);
    tokio::task::yield_now().await;
    tx.add("paid", 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn same_id_ten_thousand_times_at_sixteen_members_has_one_effect() {
    let (log, store, runs) = (MemoryLog::new(16), MemoryStore::new(), Arc::new(AtomicU32::new(0)));
    for copy in 0..10_000 {
        // Use a new record key each time, which puts copies of one message in every partition.
        let message = placed("a", 1).with_key(format!("k{copy}"));
        assert!(log.publish(&[message]).await.iter().all(Result::is_ok));
    }
    let members: Vec<Running> = (0..16)
        .map(|_| {
            let builder = Consumer::builder(CONSUMER, store.clone()).from(log.topics([TOPIC]));
            start(builder.on_with(runs.clone(), pay))
        })
        .collect();
    until(|| (0..16).map(|p| log.committed(CONSUMER, TOPIC, p)).sum::<i64>() == 10_000).await;
    let mut seen = 0;
    for member in members {
        let stats = member.stop().await;
        seen += stats.handled + stats.duplicates;
    }
    assert_eq!((runs.load(Ordering::Relaxed), store.get("paid")), (1, 1));
    assert!(seen >= 10_000, "all copies came by: {seen}");
}
