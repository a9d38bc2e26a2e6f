//! The ends of partitions.

use serde_json::{Value, json};

use super::shop::Shop;

fn offset(topic: &str, partition: i64, next: i64) -> Value {
    let last = if next > 0 { json!(next - 1) } else { Value::Null };
    json!({"topic_id": topic, "partition_id": partition, "last_offset": last, "next_offset": next})
}

#[tokio::test]
async fn ends_are_sorted_and_each_is_there_once() {
    let shop = Shop::with(2, 0..30).await;
    shop.rows("CREATE TOPIC shop.empty").await;
    let ends = shop.rows("SELECT partitions FROM system.topics WHERE topic_id = 'shop.orders'").await;
    assert_eq!(ends, json!([[2]]));
    let of = |topic: &str, partition: i64| json!({"topic_id": topic, "partition_id": partition});
    let asked = json!({"partitions": [
        of("shop.orders", 1), of("shop.nothing", 0), of("shop.orders", 0), {"topic_id": "shop.orders"},
        of("shop.orders", 9), of("shop.empty", 0), of("shop.orders", 1), of("zzq'\0", 3), of("shop.orders", -1)
    ]});
    let found = shop.ok("latest-offsets", asked).await;
    let found = found["offsets"].as_array().unwrap();
    let (first, second) =
        (found[3]["next_offset"].as_i64().unwrap(), found[4]["next_offset"].as_i64().unwrap());
    assert_eq!(first + second, 30);
    assert_eq!(
        found[..],
        [
            offset("shop.empty", 0, 0),
            offset("shop.nothing", 0, 0),
            offset("shop.orders", -1, 0),
            offset("shop.orders", 0, first),
            offset("shop.orders", 1, second),
            offset("shop.orders", 9, 0),
            offset("zzq'\0", 3, 0),
        ]
    );
    assert_eq!(shop.ok("latest-offsets", json!({"partitions": []})).await, json!({"offsets": []}));
}

#[tokio::test]
async fn deleted_records_count_for_the_ends() {
    let shop = Shop::with(1, 0..5).await;
    shop.rows("CLEAR TOPIC shop.orders").await;
    let asked = json!({"partitions": [{"topic_id": "shop.orders", "partition_id": 0}]});
    assert_eq!(shop.ok("latest-offsets", asked).await["offsets"], json!([offset("shop.orders", 0, 5)]));
}

#[tokio::test]
async fn partitions_that_are_none_are_refused() {
    let shop = Shop::new(1).await;
    for partitions in [
        json!(null),
        json!({}),
        json!("zzq"),
        json!([["shop.orders", 0]]),
        json!(["shop.orders"]),
        json!([{"partition_id": 0}]),
        json!([{"topic_id": 5}]),
        json!([{"topic_id": "shop.orders", "partition_id": "zzq"}]),
        json!([{"topic_id": "shop.orders", "partition_id": 1_u64 << 40}]),
        json!([{"topic_id": "shop.orders", "partition": 1}]),
        json!(vec![json!({"topic_id": "shop.orders"}); 1_001]),
    ] {
        let failure =
            shop.refused("latest-offsets", json!({ "partitions": partitions }), 400, "BAD_REQUEST").await;
        assert!(!failure.to_string().contains("zzq"), "{failure}");
    }
    shop.refused("latest-offsets", json!({}), 400, "BAD_REQUEST").await;
}
