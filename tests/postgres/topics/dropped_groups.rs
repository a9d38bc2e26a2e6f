//! A group that is forgotten in a topic of the database.

use messagekit::ErrorKind;
use messagekit_testkit::block_on;
use messagekit_topics::operations::TopicOperations;
use messagekit_topics::operations::wire::{Acknowledge, Consume, ConsumeAnswer, Start};
use serde_json::json;

use super::sources::{Shop, TOPIC};

#[test]
fn a_group_that_is_dropped_begins_as_a_new_one() {
    block_on(async {
        let shop = Shop::new().await;
        for n in 0..3 {
            shop.orders.append(&json!({ "n": n })).await.unwrap();
        }
        let (group_id, start) = (Some("g".to_owned()), Some(Start::Earliest));
        let request = Consume { group_id, start, limit: Some(2), ..Consume::of(TOPIC) };
        let offsets =
            |answer: &ConsumeAnswer| answer.messages.iter().map(|own| own.offset).collect::<Vec<_>>();
        let first = shop.topics.consume(&request, None).await.unwrap();
        assert_eq!(offsets(&first), [0, 1]);
        let settle = Acknowledge::all(TOPIC, "g", 0, first.claim_id.unwrap());
        shop.topics.acknowledge(&settle).await.unwrap();

        assert!(shop.topics.drop_group(TOPIC, "g").await.unwrap());
        assert!(!shop.topics.drop_group(TOPIC, "g").await.unwrap(), "it is forgotten");
        let lost = shop.topics.acknowledge(&settle).await.expect_err("its claims have ended");
        assert_eq!(lost.kind(), ErrorKind::ClaimLost);
        let missing = shop.topics.drop_group("shop.missing", "g").await.expect_err("there is no such topic");
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        let again = shop.topics.consume(&request, None).await.unwrap();
        assert_eq!(offsets(&again), [0, 1]);
    });
}
