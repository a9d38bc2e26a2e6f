//! A group that is forgotten in a topic of the database.

use messagekit::ErrorKind;
use messagekit::log::PartitionStart;
use messagekit_testkit::block_on;
use messagekit_topics::operations::{ConsumeRequest, Consumed, Settle, TopicOperations};
use serde_json::json;

use super::sources::{Shop, TOPIC};

#[test]
fn a_group_that_is_dropped_begins_as_a_new_one() {
    block_on(async {
        let shop = Shop::new().await;
        for n in 0..3 {
            shop.orders.append(&json!({ "n": n })).await.unwrap();
        }
        let request = ConsumeRequest::of(TOPIC).group("g").start(PartitionStart::Earliest).limit(2);
        let offsets = |consumed: &Consumed| consumed.records.iter().map(|own| own.offset).collect::<Vec<_>>();
        let first = shop.topics.consume(&request).await.unwrap();
        assert_eq!(offsets(&first), [0, 1]);
        let claim = first.claim.unwrap();
        let settle = Settle::all(TOPIC, "g", claim.partition, claim.id);
        shop.topics.acknowledge(&settle).await.unwrap();

        assert!(shop.topics.drop_group(TOPIC, "g").await.unwrap());
        assert!(!shop.topics.drop_group(TOPIC, "g").await.unwrap(), "it is forgotten");
        let lost = shop.topics.acknowledge(&settle).await.expect_err("its claims have ended");
        assert_eq!(lost.kind(), ErrorKind::ClaimLost);
        let missing = shop.topics.drop_group("shop.missing", "g").await.expect_err("there is no such topic");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let again = shop.topics.consume(&request).await.unwrap();
        assert_eq!(offsets(&again), [0, 1]);
    });
}
