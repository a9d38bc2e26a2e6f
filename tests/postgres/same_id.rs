//! The same message in two processes at once.

use messagekit::adapter::{Publisher, codec};
use messagekit::consumer::ConsumerStats;
use messagekit::{Claim, Consumer, Envelope, Event, MessageId, Shutdown, Store};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::locks::until_it_waits;

use crate::shop::{OrderPlaced, Shop, backend, insert_bill};

/// Claims and bills like another process, and returns the claim.
async fn handle(shop: &Shop, store: &PostgresStore, id: &MessageId) -> Claim {
    let mut tx = store.begin().await.expect("begins");
    let claim = shop.claim_in(store, &mut tx, id).await;
    if claim == Claim::Fresh {
        insert_bill(&mut tx, id.as_str()).await;
    }
    store.commit(tx).await.expect("commits");
    claim
}

#[test]
fn same_id_in_many_stores_at_once_is_applied_once() {
    block_on(async {
        let shop = std::sync::Arc::new(Shop::open().await);
        let ids: Vec<MessageId> = (0..20).map(|_| MessageId::new()).collect();
        let mut rivals = Vec::new();
        for _ in 0..4 {
            let (shop, ids, store) = (shop.clone(), ids.clone(), shop.database.store().await);
            rivals.push(tokio::spawn(async move {
                let mut fresh = 0;
                for id in &ids {
                    fresh += usize::from(handle(&shop, &store, id).await == Claim::Fresh);
                }
                fresh
            }));
        }
        let mut fresh = 0;
        for rival in rivals {
            fresh += rival.await.unwrap();
        }
        assert_eq!((fresh, shop.bills().await), (ids.len(), ids.len() as i64));
        assert_eq!(shop.count("SELECT count(DISTINCT id) FROM bills").await, ids.len() as i64);
    });
}

/// Each has begun its attempt at the message before the first one has its claim: none counts the others as crashed.
#[test]
fn same_id_delivered_to_sixteen_consumers_is_billed_once() {
    block_on(async {
        let shop = Shop::open().await;
        let log = MemoryLog::new(16);
        let event = codec::encode(&Envelope::new(OrderPlaced::new("o-1")), "shop").unwrap();
        let stores = [shop.store.clone(), shop.database.store().await];
        let (shutdown, mut stats, mut running) = (Shutdown::new(), Vec::new(), Vec::new());
        for store in stores.iter().cycle().take(16) {
            let consumer = Consumer::builder("billing", store.clone())
                .from(log.topics([OrderPlaced::TOPIC]))
                .on(async |tx: &mut PgTx, order: Envelope<OrderPlaced>| {
                    insert_bill(tx, order.event_id.as_str()).await;
                    Ok(())
                })
                .build()
                .unwrap();
            stats.push(consumer.stats());
            running.push(tokio::spawn(consumer.run(shutdown.clone())));
        }
        let seen =
            |count: fn(ConsumerStats) -> u64| stats.iter().map(|stats| count(stats.read())).sum::<u64>();
        let copies: Vec<_> = (0..1_000).map(|copy| event.clone().with_key(format!("k-{copy}"))).collect();
        log.publish(&copies).await.into_iter().for_each(|result| result.unwrap());
        eventually("every copy is dealt with", DEADLINE, async || {
            seen(|stats| stats.handled + stats.duplicates + stats.dead) == 1_000
        })
        .await;
        shutdown.request();
        for running in running {
            running.await.unwrap().unwrap();
        }
        assert_eq!((seen(|stats| stats.handled), seen(|stats| stats.dead), shop.bills().await), (1, 0, 1));
    });
}

#[test]
fn claim_waits_for_the_rival_and_then_knows() {
    block_on(async {
        let shop = std::sync::Arc::new(Shop::open().await);
        for commits in [true, false] {
            let id = MessageId::new();
            let first = shop.bill(&shop.store, &id).await;
            let other = shop.database.store().await;
            let mut second = other.begin().await.unwrap();
            let waiting = backend(&mut second).await;
            let claiming = {
                let (shop, other, id) = (shop.clone(), other.clone(), id.clone());
                tokio::spawn(async move { shop.claim_in(&other, &mut second, &id).await })
            };
            until_it_waits(shop.store.pool(), waiting).await;
            if commits {
                shop.store.commit(first).await.unwrap();
            } else {
                shop.store.rollback(first).await.unwrap();
            }
            let expected = if commits { Claim::Done } else { Claim::Fresh };
            assert_eq!(claiming.await.unwrap(), expected);
        }
    });
}

/// Otherwise two batches could each hold the row that the other waits for.
#[test]
fn who_waits_for_a_claim_holds_none_behind_it() {
    block_on(async {
        let shop = std::sync::Arc::new(Shop::open().await);
        let ids: Vec<MessageId> = (0..20).map(|number| format!("m-{number:02}").parse().unwrap()).collect();
        let request = |id: &MessageId| messagekit::adapter::ClaimRequest {
            id: id.clone(),
            topic: "orders.order".into(),
            key: None,
            generation: 0,
        };
        let mut first = shop.store.begin().await.unwrap();
        assert_eq!(shop.claim_in(&shop.store, &mut first, &ids[0]).await, Claim::Fresh);
        let mut second = shop.store.begin().await.unwrap();
        let waiting = backend(&mut second).await;
        let claiming = {
            let (shop, requests) = (shop.clone(), ids.iter().rev().map(request).collect::<Vec<_>>());
            tokio::spawn(async move {
                messagekit::adapter::Markers::claim(&shop.store, &mut second, &shop.consumer, &requests).await
            })
        };
        until_it_waits(shop.store.pool(), waiting).await;
        let behind: Vec<_> = ids[1..].iter().map(request).collect();
        let claims =
            messagekit::adapter::Markers::claim(&shop.store, &mut first, &shop.consumer, &behind).await;
        assert_eq!(claims.expect("nobody holds them"), [Claim::Fresh; 19]);
        shop.store.commit(first).await.unwrap();
        assert_eq!(claiming.await.unwrap().unwrap(), [Claim::Done; 20]);
    });
}

#[test]
fn batches_that_overlap_in_any_order_do_not_deadlock() {
    block_on(async {
        let shop = std::sync::Arc::new(Shop::open().await);
        let ids: Vec<MessageId> = (0..200).map(|_| MessageId::new()).collect();
        let mut rivals = Vec::new();
        for seed in 0..4 {
            let (shop, mut ids, store) = (shop.clone(), ids.clone(), shop.database.store().await);
            fastrand::Rng::with_seed(seed).shuffle(&mut ids);
            rivals.push(tokio::spawn(async move {
                let mut fresh = 0;
                for batch in ids.chunks(50) {
                    let request = |id: &MessageId| messagekit::adapter::ClaimRequest {
                        id: id.clone(),
                        topic: "orders.order".into(),
                        key: None,
                        generation: 0,
                    };
                    let requests: Vec<_> = batch.iter().map(request).collect();
                    let mut tx = store.begin().await.unwrap();
                    let claims =
                        messagekit::adapter::Markers::claim(&store, &mut tx, &shop.consumer, &requests).await;
                    fresh += claims
                        .expect("nobody deadlocks")
                        .iter()
                        .filter(|claim| **claim == Claim::Fresh)
                        .count();
                    store.commit(tx).await.unwrap();
                }
                fresh
            }));
        }
        let mut fresh = 0;
        for rival in rivals {
            fresh += rival.await.unwrap();
        }
        assert_eq!(fresh, ids.len());
    });
}
