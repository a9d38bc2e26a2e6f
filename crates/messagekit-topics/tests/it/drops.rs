//! Topics that are dropped, and made again.

use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use messagekit::adapter::{NextOffset, Positions};
use messagekit::{ErrorKind, Store};
use messagekit_topic_store::AppendedRecord;
use messagekit_topic_store::{Claimed, OnSources, RecordClaimer, TopicDefinitions, Which};
use messagekit_topics::{Topic, TopicEvent, Topics};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

type Items = Topic<Value, Db>;

async fn items(topics: &Topics<Db>) -> Items {
    topics.untyped("items").dedup(["n"]).key("n").open().await.unwrap()
}

fn item(n: i64) -> Value {
    json!({ "n": n.to_string() })
}

async fn append(items: &Items, numbers: std::ops::RangeInclusive<i64>) {
    items.extend(&numbers.map(item).collect::<Vec<_>>()).await.unwrap();
}

async fn new_ids(items: &Items) -> Vec<i64> {
    items.iter_new().map_ok(|record| record.id).try_collect().await.unwrap()
}

fn name() -> Arc<str> {
    Arc::from("items")
}

#[tokio::test]
async fn a_topic_that_is_made_again_has_nothing_of_the_old_one() {
    let topics = home::topics().await;
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let writes = heard.clone();
    topics.observe(move |event| {
        if let TopicEvent::Created { topic } | TopicEvent::Dropped { topic } = event {
            writes.lock().unwrap().push((topic.clone(), matches!(event, TopicEvent::Created { .. })));
        }
    });
    let old = items(&topics).await;
    append(&old, 1..=5).await;
    for id in [1, 2, 4] {
        old.set_handled(id).await.unwrap();
    }
    topics.drop("items").await.unwrap();
    assert!(topics.definition("items").await.unwrap().is_none());
    assert!(topics.definitions().await.unwrap().is_empty());
    assert_eq!(home::rows(&topics).await, 0, "records, hashes, cursors and markers are gone");
    assert_eq!(topics.drop("items").await.unwrap_err().kind(), ErrorKind::NotFound);

    let again = items(&topics).await;
    assert_eq!(again.count().await.unwrap(), messagekit_topics::RecordCounts::default());
    let appended = again.append_if_new(&item(1)).await.unwrap();
    assert!(matches!(appended, AppendedRecord::Appended(id) if id > 5), "no id is given twice: {appended:?}");
    let first = again.iter_new().try_next().await.unwrap().unwrap();
    assert_eq!((first.partition, first.offset), (0, 0));
    let created = [true, false, true].map(|is_created| (name(), is_created));
    assert_eq!(*heard.lock().unwrap(), created);
}

/// Otherwise a consumer would begin in the next topic where it was in this one.
#[tokio::test]
async fn recorded_positions_go_with_the_topic() {
    let topics = home::topics().await;
    items(&topics).await;
    let store = topics.store();
    let at = |topic: &str, next| NextOffset { topic: Arc::from(topic), partition: 0, key_lane: 0, next };
    for consumer in ["billing", "stock"] {
        let mut tx = store.begin().await.unwrap();
        store.advance(&mut tx, consumer, &[at("items", 4), at("others", 7)]).await.unwrap();
        store.commit(tx).await.unwrap();
    }
    topics.drop("items").await.unwrap();
    items(&topics).await;
    for consumer in ["billing", "stock"] {
        assert_eq!(store.next_of(consumer, "items").await.unwrap(), []);
        assert_eq!(store.next_of(consumer, "others").await.unwrap(), [at("others", 7)]);
    }
}

#[tokio::test]
async fn a_drop_that_was_stopped_is_finished_by_another() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let old = items(&topics).await;
    append(&old, 1..=2_500).await;
    old.set_handled(1).await.unwrap();
    // The process dies here.
    topics.store().drop_topic(&name(), OnSources::Refuse).await.unwrap();

    let there = home.topics().await;
    let again = items(&there).await;
    append(&again, 1..=3).await;
    assert_eq!(new_ids(&again).await.len(), 3, "what is left of the old one is not seen");
    again.set_handled(new_ids(&again).await[0]).await.unwrap();
    let mut pieces = 0;
    loop {
        let rows = there.store().clear_dropped().await.unwrap();
        if rows == 0 {
            break;
        }
        assert!(rows <= 1_000, "a piece is short: {rows}");
        pieces += 1;
        append(&again, 100 + pieces..=100 + pieces).await;
    }
    assert!(pieces >= 3, "{pieces}");
    let counts = again.count().await.unwrap();
    let kept = 3 + pieces.unsigned_abs();
    assert_eq!((counts.all, counts.handled, counts.new), (kept, 1, kept - 1));
    let same = again.append_if_new(&item(1)).await.unwrap();
    assert!(matches!(same, AppendedRecord::Duplicate(_)), "its own hashes stay");
    there.drop("items").await.unwrap();
    assert_eq!(home::rows(&there).await, 0);
}

#[tokio::test]
async fn claims_of_a_dropped_topic_are_lost() {
    let topics = home::topics().await;
    append(&items(&topics).await, 1..=4).await;
    let worker = RecordClaimer::new(topics.store().clone(), "workers", "items");
    let mut claims = Vec::new();
    for _ in 0..2 {
        let Claimed::Records(claim) = worker.claim(2).await.unwrap() else { panic!("records wait") };
        claims.push(claim);
    }
    topics.drop("items").await.unwrap();
    let lost = worker.acknowledge(&claims[0], Which::All).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::ClaimLost);
    assert_eq!(worker.claim(2).await.unwrap_err().kind(), ErrorKind::NotFound, "no claimer waits for it");

    append(&items(&topics).await, 1..=3).await;
    let lost = worker.acknowledge(&claims[1], Which::All).await.unwrap_err();
    assert_eq!(lost.kind(), ErrorKind::ClaimLost);
    let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("it begins anew") };
    let offsets: Vec<i64> = claim.records.iter().map(|record| record.record.position.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    worker.acknowledge(&claim, Which::All).await.unwrap();
}

#[tokio::test]
async fn handles_of_a_dropped_topic_are_refused() {
    let topics = home::topics().await;
    let old = items(&topics).await;
    append(&old, 1..=1).await;
    let mut following = old.follow();
    following.next().await.unwrap().unwrap();
    let waiting = tokio::spawn(async move { following.next().await });
    topics.drop("items").await.unwrap();
    let ended = tokio::time::timeout(std::time::Duration::from_secs(60), waiting).await;
    let ended = ended.expect("a follower is told").unwrap().unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::NotFound);
    let refused = |error: messagekit_topics::Error| assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    refused(old.append(&item(2)).await.unwrap_err());
    refused(old.iter_new().try_next().await.unwrap_err());
    refused(old.count().await.unwrap_err());
    refused(old.set_handled(1).await.unwrap_err());
    refused(old.expire().await.unwrap_err());

    let other = topics.untyped("items").open().await.unwrap();
    refused(old.append(&item(3)).await.unwrap_err());
    other.append(&json!({ "other": true })).await.unwrap();
    items_refuses(&topics).await;
    assert_eq!(other.count().await.unwrap().all, 1);
}

/// The topic that was made again has rules of its own.
async fn items_refuses(topics: &Topics<Db>) {
    let refused = topics.untyped("items").dedup(["n"]).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_write_while_a_large_topic_is_dropped() {
    let home = Home::new().await;
    let topics = home.topics().await;
    append(&items(&topics).await, 1..=4_000).await;
    let there = home.topics().await;
    let other = there.untyped("other").open().await.unwrap();
    let dropping = tokio::spawn(async move { topics.drop("items").await });
    let mut written = 0;
    while !dropping.is_finished() || written < 20 {
        other.append(&item(written)).await.unwrap();
        written += 1;
    }
    dropping.await.unwrap().unwrap();
    assert_eq!(other.count().await.unwrap().all, written.unsigned_abs());
    assert_eq!(there.definitions().await.unwrap().len(), 1);
}
