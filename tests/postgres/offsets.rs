//! Positions that several transactions write at once.

use std::sync::Arc;

use messagekit::Store;
use messagekit::adapter::{NextOffset, Positions};
use messagekit_testkit::block_on;
use messagekit_tests::locks::until_it_waits;

use crate::shop::{Shop, backend};

fn at(partition: i32, next: i64) -> NextOffset {
    NextOffset { topic: Arc::from("orders.order"), partition, key_lane: 0, next }
}

#[test]
fn a_partition_advanced_twice_keeps_its_furthest_offset() {
    block_on(async {
        let shop = Shop::open().await;
        for several in [[at(1, 7), at(0, 1), at(1, 9), at(1, 8)], [at(1, 3), at(1, 2), at(0, 2), at(0, 0)]] {
            let mut tx = shop.store.begin().await.unwrap();
            shop.store.advance(&mut tx, &shop.consumer, &several).await.unwrap();
            shop.store.commit(tx).await.unwrap();
        }
        let noted = shop.store.next_of(&shop.consumer, "orders.order").await.unwrap();
        assert_eq!(noted, [at(0, 2), at(1, 9)]);
    });
}

/// Otherwise two batches could each hold the row that the other waits for.
#[test]
fn who_waits_for_a_position_holds_none_behind_it() {
    block_on(async {
        let shop = Shop::open().await;
        let mut first = shop.store.begin().await.unwrap();
        shop.store.advance(&mut first, &shop.consumer, &[at(1, 1)]).await.unwrap();
        let mut second = shop.store.begin().await.unwrap();
        let waiting = backend(&mut second).await;
        let (store, consumer) = (shop.store.clone(), shop.consumer.clone());
        let advancing = tokio::spawn(async move {
            store.advance(&mut second, &consumer, &[at(2, 1), at(1, 2), at(3, 1)]).await.unwrap();
            store.commit(second).await.unwrap();
        });
        until_it_waits(shop.store.pool(), waiting).await;
        shop.store
            .advance(&mut first, &shop.consumer, &[at(2, 2), at(3, 2)])
            .await
            .expect("nobody holds them");
        shop.store.commit(first).await.unwrap();
        advancing.await.unwrap();
        let noted = shop.store.next_of(&shop.consumer, "orders.order").await.unwrap();
        assert_eq!(noted, [at(1, 2), at(2, 2), at(3, 2)]);
    });
}
