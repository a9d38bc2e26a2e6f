use std::sync::Arc;

use messagekit::{Claim, ErrorKind};
use messagekit_bridge::ProcessedIds;
use messagekit_memory::{Failpoint, MemoryStore};

use crate::broker::Fate;
use crate::fixture::{BRIDGE, Running, World, order, until};

fn filter(store: &MemoryStore) -> Arc<ProcessedIds<MemoryStore>> {
    Arc::new(ProcessedIds::new(store.clone(), BRIDGE))
}

fn marker(store: &MemoryStore, id: &str) -> Option<Claim> {
    store.marker(BRIDGE, &id.parse().unwrap())
}

#[tokio::test(start_paused = true)]
async fn what_was_forwarded_before_is_not_forwarded_again() {
    let (world, store) = (World::new(2), MemoryStore::new());
    world.publish_keys(10, 5).await;
    let running = Running::start(world.bridge().duplicates(filter(&store)));
    until("all are settled", || world.committed() == 50).await;
    world.log.redeliver(BRIDGE);
    world.publish_keys(10, 5).await;
    until("the copies are known", || running.stats.read().duplicates == 100).await;
    until("all are settled", || world.committed() == 100).await;
    assert_eq!(world.broker.taken().len(), 50);
    assert_eq!(marker(&store, "k3-4"), Some(Claim::Done));
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_mark_is_written_after_the_confirm_and_before_the_offset() {
    let (world, store) = (World::new(1), MemoryStore::new());
    world.broker.script(|_| Fate::Away);
    world.publish([order("o", 0)]).await;
    let running = Running::start(world.bridge().duplicates(filter(&store)));
    until("it was tried", || running.stats.read().repeated >= 3).await;
    assert_eq!(marker(&store, "o-0"), None);
    store.fail_next(Failpoint::Commit, ErrorKind::Unavailable);
    world.broker.script(|_| Fate::Taken);
    until("it is confirmed", || running.stats.read().forwarded == 1).await;
    assert_eq!(world.committed(), 0);
    until("it is settled", || world.committed() == 1).await;
    assert_eq!(marker(&store, "o-0"), Some(Claim::Done));
    assert_eq!(world.broker.taken().len(), 1);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_bridges_that_share_a_database_do_not_suppress_each_other() {
    let store = MemoryStore::new();
    for name in ["another", BRIDGE] {
        let world = World::new(1);
        world.publish_keys(5, 4).await;
        let filter = Arc::new(ProcessedIds::new(store.clone(), name));
        let running = Running::start(world.bridge().duplicates(filter));
        until("all are settled", || world.committed() == 20).await;
        assert_eq!(world.broker.taken().len(), 20, "the bridge {name}");
        running.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_filter_that_is_away_is_waited_for() {
    let (world, store) = (World::new(1), MemoryStore::new());
    for _ in 0..3 {
        store.fail_next(Failpoint::Begin, ErrorKind::Unavailable);
    }
    world.publish_keys(5, 4).await;
    let running = Running::start(world.bridge().duplicates(filter(&store)));
    until("all are settled", || world.committed() == 20).await;
    assert_eq!(world.broker.taken().len(), 20);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_filter_without_its_tables_ends_the_bridge() {
    let (world, store) = (World::new(1), MemoryStore::new());
    store.fail_next(Failpoint::Begin, ErrorKind::Schema);
    world.publish_keys(1, 1).await;
    let bridge = world.bridge().duplicates(filter(&store)).build().unwrap();
    let error = bridge.run(std::future::pending()).await.unwrap_err();
    assert_eq!((error.kind(), world.broker.publishes()), (ErrorKind::Schema, 0));
}
