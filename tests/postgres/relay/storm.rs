//! Many writers that commit late, and a relay that must skip no event.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::relay::{OutboxReader, ShardRead};
use messagekit::{Shutdown, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};

use super::outbox::{Log, Relayed, entries, id, relay};
use crate::shop::OrderPlaced;

/// The size of the test: short in each run, and the stated size with `MESSAGEKIT_FULL`.
struct Size {
    writers: usize,
    each: usize,
    longest: Duration,
}

fn size() -> Size {
    if messagekit_tests::is_full() {
        Size { writers: 64, each: 30, longest: Duration::from_secs(3) }
    } else {
        Size { writers: 16, each: 10, longest: Duration::from_millis(300) }
    }
}

#[derive(Default)]
struct Written {
    committed: BTreeSet<String>,
    rolled_back: BTreeSet<String>,
}

/// Runs writers that wait between event and commit, and roll back three in ten.
async fn write(relayed: &Relayed, size: &Size) -> Written {
    let store = PostgresStore::options()
        .max_connections(u32::try_from(size.writers).unwrap())
        .connect(relayed.database.url())
        .await
        .unwrap();
    let outbox = messagekit::Outbox::new(store.clone(), "shop").unwrap();
    let written = Arc::new(Mutex::new(Written::default()));
    let writers: Vec<_> = (0..size.writers)
        .map(|writer| {
            let (store, outbox, written) = (store.clone(), outbox.clone(), Arc::clone(&written));
            let (each, longest) = (size.each, size.longest);
            tokio::spawn(async move {
                let mut random = fastrand::Rng::with_seed(writer as u64);
                for _ in 0..each {
                    let mut tx = store.begin().await.unwrap();
                    let order = OrderPlaced::new(&format!("o-{}", random.u8(..16)));
                    let event = outbox.add(&mut tx, order).await.unwrap().to_string();
                    tokio::time::sleep(longest.mul_f64(random.f64())).await;
                    if random.u8(..10) < 3 {
                        store.rollback(tx).await.unwrap();
                        written.lock().unwrap().rolled_back.insert(event);
                    } else {
                        store.commit(tx).await.unwrap();
                        written.lock().unwrap().committed.insert(event);
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    store.close().await;
    Arc::into_inner(written).unwrap().into_inner().unwrap()
}

#[test]
fn every_committed_event_is_published_and_no_rolled_back_one() {
    block_on(async {
        let (relayed, size) = (Relayed::fresh().await, size());
        let log = Arc::new(Log::default());
        let shutdown = Shutdown::new();
        let running = tokio::spawn(relay(&relayed.store, &log).unwrap().run(shutdown.clone()));
        let written = write(&relayed, &size).await;
        eventually("everything has left", DEADLINE, async || relayed.pending().await == 0).await;
        shutdown.request();
        running.await.unwrap().unwrap();
        let published: BTreeSet<String> = log.ids().into_iter().collect();
        assert_eq!(published, written.committed);
        assert!(published.is_disjoint(&written.rolled_back) && !written.rolled_back.is_empty());
    });
}

/// The same writers, and a reader that starts from the last position that it has seen in a shard.
#[test]
fn reader_with_a_cursor_loses_events_in_the_same_storm() {
    block_on(async {
        // A machine may be so slow that every read comes after every commit.
        for _ in 0..5 {
            if lost_by_a_cursor().await > 0 {
                return;
            }
        }
        panic!("in five storms nothing was committed late");
    });
}

async fn lost_by_a_cursor() -> usize {
    let (relayed, size) = (Relayed::fresh().await, size());
    let leases = relayed.lease("cursor").await;
    let mut wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    let mut published = BTreeSet::new();
    let mut writing = std::pin::pin!(write(&relayed, &size));
    let mut written = None;
    while written.is_none() {
        tokio::select! {
            done = &mut writing => written = Some(done),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
        let page = relayed.store.pending("cursor", &wanted, &[], &[], 10_000).await.unwrap();
        for row in &page.rows {
            published.insert(id(row).to_owned());
            wanted[usize::from(row.shard)].above = row.seq;
        }
        relayed.store.published(&entries(&page)).await.unwrap();
    }
    let committed = written.unwrap().committed;
    assert!(published.is_subset(&committed));
    committed.difference(&published).count()
}
