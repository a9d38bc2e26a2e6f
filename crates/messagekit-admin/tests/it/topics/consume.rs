//! The options of `consume`, one by one.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use messagekit_topics::operations::TopicOperations;
use messagekit_topics::operations::wire::Append;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, about, numbers, order};
use crate::ask::DEADLINE;

#[tokio::test]
async fn a_start_is_a_word_in_any_case_or_an_offset() {
    let shop = Shop::with(1, 0..5).await;
    for (starts, expected) in [
        ([json!("Latest"), json!("latest"), Value::Null], vec![]),
        ([json!("Earliest"), json!("EARLIEST"), json!("eArLiEsT")], vec![0, 1, 2, 3, 4]),
        ([json!({"Offset": 3}), json!({"offset": 3}), json!({"OFFSET": 3})], vec![3, 4]),
    ] {
        for start in starts {
            let answer = shop.consume(json!({ "start": start })).await;
            assert_eq!(numbers(&answer), expected, "{start}");
            assert_eq!((&answer["next_offset"], &answer["has_more"]), (&json!(5), &json!(false)), "{start}");
        }
    }
    for start in [
        json!("zzq"),
        json!(3),
        json!([]),
        json!({"Offset": -1}),
        json!({"Offset": "3"}),
        json!({"Offset": 1, "zzq": 2}),
        json!({"Offset": 1e300}),
        json!({}),
    ] {
        let body = about(TOPIC, json!({ "start": start }));
        let failure = shop.refused("consume", body, 400, "BAD_REQUEST").await;
        assert!(failure["error"].as_str().unwrap().contains("Earliest"), "{failure}");
        assert!(!failure.to_string().contains("zzq"), "{failure}");
    }
}

#[tokio::test]
async fn a_limit_is_the_nearest_that_is_allowed() {
    let shop = Shop::with(1, 0..1_200).await;
    for (limit, count) in [
        (json!(0), 1),
        (json!(1), 1),
        (Value::Null, 100),
        (json!(1_000), 1_000),
        (json!(4_000_000_000_u32), 1_000),
    ] {
        let answer = shop.consume(json!({"start": "Earliest", "limit": limit})).await;
        assert_eq!(numbers(&answer).len(), count, "{limit}");
        assert_eq!((&answer["next_offset"], &answer["has_more"]), (&json!(count), &json!(true)));
    }
    for limit in [json!(-1), json!(1.5), json!("10"), json!(1_u64 << 40)] {
        shop.refused("consume", about(TOPIC, json!({ "limit": limit })), 400, "BAD_REQUEST").await;
    }
}

#[tokio::test]
async fn a_blank_group_is_none_and_stores_nothing() {
    let shop = Shop::with(1, 0..3).await;
    for group in [json!(""), json!(" \t"), Value::Null] {
        for _ in 0..2 {
            let answer = shop.consume(json!({"group_id": group, "start": "Earliest"})).await;
            assert_eq!(numbers(&answer), [0, 1, 2], "{group}");
            assert!(answer.get("claim_id").is_none() && answer.get("lease_until_ms").is_none(), "{answer}");
        }
    }
    assert_eq!(shop.rows("SELECT * FROM system.topic_offsets").await, json!([]));
}

#[tokio::test]
async fn a_reader_has_one_partition_and_a_group_has_all() {
    let shop = Shop::with(4, 0..40).await;
    let read = async |fields: Value| {
        let answer = shop.consume(fields).await;
        let of: BTreeSet<i64> = answer["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| m["partition_id"].as_i64().unwrap())
            .collect();
        (of, numbers(&answer))
    };
    let mut all = Vec::new();
    for partition in 0..4 {
        let (of, found) = read(json!({"start": "Earliest", "partition_id": partition})).await;
        assert!(of.iter().all(|of| *of == partition), "{of:?}");
        all.extend(found);
    }
    assert_eq!(
        read(json!({"start": "Earliest"})).await,
        read(json!({"start": "Earliest", "partition_id": 0})).await
    );
    all.sort_unstable();
    assert_eq!(all, (0..40).collect::<Vec<_>>());

    let mut claimed = Vec::new();
    loop {
        let answer = shop.consume(json!({"start": "Earliest", "group_id": "g"})).await;
        let found = numbers(&answer);
        assert_eq!(answer["has_more"], !found.is_empty(), "other partitions may have more: {answer}");
        if found.is_empty() {
            assert_eq!(answer["next_offset"], Value::Null);
            break;
        }
        claimed.extend(found);
    }
    claimed.sort_unstable();
    assert_eq!(claimed, all);
    let failure = about(TOPIC, json!({"partition_id": 4}));
    shop.refused("consume", failure, 404, "NOT_FOUND").await;
    let failure = about(TOPIC, json!({"partition_id": -1, "group_id": "g"}));
    shop.refused("consume", failure, 404, "NOT_FOUND").await;
}

#[tokio::test]
async fn a_group_begins_once_and_goes_on_where_it_is() {
    let shop = Shop::with(1, 0..10).await;
    let first = shop.consume(json!({"group_id": "g", "start": {"Offset": 4}, "limit": 3})).await;
    assert_eq!((numbers(&first), &first["next_offset"]), (vec![4, 5, 6], &json!(7)));
    assert_eq!(first["has_more"], true);
    assert_eq!(first["messages"][0]["attempt"], 1);
    let until = first["lease_until_ms"].as_i64().unwrap();
    let second = shop.consume(json!({"group_id": "g", "start": "Earliest", "lease_seconds": 3_600})).await;
    assert_eq!(numbers(&second), [7, 8, 9], "its start counts once, and no record is claimed twice");
    assert!(second["lease_until_ms"].as_i64().unwrap() > until + 3_000_000);
    assert_ne!(first["claim_id"], second["claim_id"]);
    // A group that begins at the end is known from then on.
    assert_eq!(numbers(&shop.consume(json!({"group_id": "late"})).await), [0; 0]);
    shop.fill(10..12).await;
    assert_eq!(numbers(&shop.consume(json!({"group_id": "late"})).await), [10, 11]);
    for lease in [json!(0), json!(86_401), json!(-1), json!("60")] {
        let body = about(TOPIC, json!({"group_id": "g", "lease_seconds": lease}));
        shop.refused("consume", body, 400, "BAD_REQUEST").await;
    }
}

#[tokio::test]
async fn a_call_waits_until_another_process_commits() {
    let shop = Shop::new(1).await;
    let writer = shop.second().await;
    for (group, n) in [(Value::Null, 0), (json!("g"), 1)] {
        let waits = json!({"group_id": group, "start": {"Offset": n}, "timeout_seconds": 25});
        let writes = async {
            // Behind the first look of the one that waits.
            tokio::task::yield_now().await;
            writer
                .append(&Append::records(TOPIC, vec![serde_json::value::to_raw_value(&order(n)).unwrap()]))
                .await
                .unwrap();
        };
        let (answer, ()) =
            tokio::time::timeout(DEADLINE, async { tokio::join!(shop.consume(waits), writes) })
                .await
                .unwrap();
        assert_eq!(numbers(&answer), [n]);
    }
}

#[tokio::test]
async fn a_call_waits_no_longer_than_it_asks_for() {
    let shop = Shop::new(1).await;
    let began = Instant::now();
    let answer = shop.consume(json!({"group_id": "g", "timeout_seconds": 1})).await;
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!((numbers(&answer).len(), &answer["has_more"]), (0, &json!(false)));
    for timeout in [json!(-1), json!(0.5), json!("1")] {
        shop.refused("consume", about(TOPIC, json!({ "timeout_seconds": timeout })), 400, "BAD_REQUEST")
            .await;
    }
}

#[tokio::test]
async fn a_record_that_is_due_again_ends_a_wait() {
    let shop = Shop::with(1, 0..1).await;
    let held = shop.consume(json!({"group_id": "g", "start": "Earliest", "lease_seconds": 1})).await;
    assert_eq!(numbers(&held), [0]);
    let again = shop.consume(json!({"group_id": "g", "timeout_seconds": 25})).await;
    assert_eq!((numbers(&again), &again["messages"][0]["attempt"]), (vec![0], &json!(2)), "its lease ended");
}

#[tokio::test]
async fn an_unknown_topic_is_not_found() {
    let shop = Shop::empty().await;
    for topic in ["shop.nothing", "", "..", "a b", "zzq\0", "'; DROP TABLE x--"] {
        for group in [Value::Null, json!("g")] {
            let body = json!({"topic_id": topic, "group_id": group, "timeout_seconds": 20});
            let failure = shop.refused("consume", body, 404, "NOT_FOUND").await;
            assert!(!failure.to_string().contains("zzq"), "{failure}");
        }
    }
}
