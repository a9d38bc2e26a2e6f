//! A topic that an open transaction holds, beside topics that nothing holds.

use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit_testkit::block_on;
use serde_json::json;
use tokio::time::timeout;

use super::sources::{Shop, TOPIC};

/// More than the connections of the pool.
const APPENDS: usize = 40;
/// What an operation takes at most, far below the time that the topic is held.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_held_topic_leaves_connections_to_the_others() {
    block_on(async {
        let mut shop = Shop::new().await;
        let bills = shop.topics.untyped("shop.bills").open().await.unwrap();
        let hold = "SELECT 1 FROM messagekit.topic_partitions p JOIN messagekit.topics t ON t.id = p.topic_id
            WHERE t.name = 'shop.orders' FOR UPDATE OF p";
        shop.run("BEGIN").await;
        shop.run(hold).await;
        let appends: Vec<_> = (0..APPENDS)
            .map(|n| {
                let orders = shop.orders.clone();
                tokio::spawn(async move { orders.append(&json!({ "n": n })).await })
            })
            .collect();
        for n in 0..5 {
            timeout(SOON, bills.append(&json!({ "n": n }))).await.expect("its topic is free").unwrap();
            let read = timeout(SOON, bills.iter_all().try_collect::<Vec<_>>()).await;
            assert_eq!(read.expect("its topic is free").unwrap().len(), n + 1);
        }
        assert!(appends.iter().all(|append| !append.is_finished()), "void: {TOPIC} was not held");
        shop.run("COMMIT").await;
        for append in appends {
            timeout(SOON, append).await.expect("it is free again").unwrap().unwrap();
        }
        let kept: Vec<_> = shop.orders.iter_all().try_collect().await.unwrap();
        assert_eq!(kept.len(), APPENDS);
    });
}
