//! How long a topic keeps its records.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_topic_store::AppendedRecord;
use messagekit_topic_store::{Claimed, RecordClaimer, Which};
use messagekit_topics::{RetentionRule, Topic, TopicEvent, Topics};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

pub(crate) const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

type Items = Topic<Value, Db>;

struct Shop {
    home: Home,
    topics: Topics<Db>,
    heard: Arc<Mutex<Vec<TopicEvent>>>,
}

impl Shop {
    async fn new() -> Self {
        let home = Home::new().await;
        let topics = home.topics().await;
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writes = heard.clone();
        topics.observe(move |event| writes.lock().unwrap().push(event.clone()));
        Self { home, topics, heard }
    }

    async fn items(&self, rule: RetentionRule) -> Items {
        self.topics.untyped("items").dedup(["n"]).retention(rule).open().await.unwrap()
    }

    /// Lets a week pass for all records that are there.
    async fn pass_a_week(&self) {
        home::pass(&self.topics, WEEK + Duration::from_micros(1)).await;
    }

    fn losses(&self) -> Vec<u64> {
        let heard = self.heard.lock().unwrap();
        let records = |event: &TopicEvent| match event {
            TopicEvent::Expired { topic, consumer, records } => {
                assert_eq!((&**topic, &**consumer), ("items", "default"));
                Some(*records)
            }
            _ => None,
        };
        heard.iter().filter_map(records).collect()
    }
}

fn item(n: i64) -> Value {
    json!({ "n": n })
}

pub(crate) async fn append(items: &Items, numbers: std::ops::RangeInclusive<i64>) {
    items.extend(&numbers.map(item).collect::<Vec<_>>()).await.unwrap();
}

pub(crate) async fn ids(items: &Items) -> Vec<i64> {
    items.iter_all().map_ok(|record| record.id).try_collect().await.unwrap()
}

async fn new_ids(items: &Items) -> Vec<i64> {
    items.iter_new().map_ok(|record| record.id).try_collect().await.unwrap()
}

#[tokio::test]
async fn an_append_deletes_what_is_too_old() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=10).await;
    shop.pass_a_week().await;
    append(&items, 11..=12).await;
    assert_eq!(ids(&items).await, [11, 12]);
    assert_eq!(items.count().await.unwrap().all, 2);
    assert!(items.get(3).await.unwrap().is_none());
    assert_eq!(items.set_handled(3).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn appends_alone_hold_a_topic_at_its_bytes() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_bytes(1_000)).await;
    for from in (1..=2_000).step_by(200) {
        append(&items, from..=from + 199).await;
        let (counted, kept) = home::bytes(&shop.topics).await;
        assert!(counted == kept && kept <= 1_000, "{counted} {kept}");
    }
    let wide = Value::from("x".repeat(5_000));
    items.append(&json!({ "n": 0, "wide": wide })).await.unwrap();
    items.expire().await.unwrap();
    assert_eq!(ids(&items).await, [2_001], "the last record stays also if it alone is too large");
}

#[tokio::test]
async fn a_rule_for_a_topic_that_has_records_counts_them() {
    let shop = Shop::new().await;
    let items = shop.topics.untyped("items").open().await.unwrap();
    append(&items, 1..=9).await;
    // Seven bytes each.
    items.set_retention(Some(RetentionRule::of_bytes(21))).await.unwrap();
    assert_eq!(ids(&items).await.len(), 9, "the call itself deletes nothing");
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (6, vec![7, 8, 9]));
    assert_eq!(items.expire().await.unwrap(), 0);
    items.set_retention(None).await.unwrap();
    append(&items, 10..=30).await;
    assert_eq!(ids(&items).await.len(), 24);
}

#[tokio::test]
async fn a_consumer_that_is_gone_holds_records_up_to_their_age() {
    let shop = Shop::new().await;
    let rule = RetentionRule { unhandled_max_age: Some(WEEK), ..RetentionRule::of_handled() };
    let items = shop.items(rule).await;
    assert_eq!(shop.topics.definition("items").await.unwrap().unwrap().retention, Some(rule));
    append(&items, 1..=10).await;
    items.set_handled(1).await.unwrap();
    items.named("mistyped").set_handled(1).await.unwrap();
    assert_eq!(items.expire().await.unwrap(), 1);
    assert_eq!(new_ids(&items).await.len(), 9);
    assert_eq!(
        (items.expire().await.unwrap(), ids(&items).await.len()),
        (0, 9),
        "the other consumer holds them"
    );
    shop.pass_a_week().await;
    append(&items, 11..=12).await;
    assert_eq!(ids(&items).await, [11, 12]);
    for consumer in ["default", "mistyped"] {
        assert_eq!(items.named(consumer).count().await.unwrap().expired, 9, "{consumer}");
    }
}

#[tokio::test]
async fn the_rule_is_the_files_and_the_last_one_given_counts() {
    let shop = Shop::new().await;
    let rule = async || shop.topics.definition("items").await.unwrap().unwrap().retention;
    let both =
        RetentionRule { max_bytes: Some(1 << 30), keep_unhandled: true, ..RetentionRule::of_age(WEEK) };
    shop.items(both).await;
    assert_eq!(rule().await, Some(both));
    shop.topics.untyped("items").open().await.unwrap();
    assert_eq!(rule().await, Some(both), "a program that gives none keeps it");
    shop.items(RetentionRule::of_bytes(5)).await;
    assert_eq!(rule().await, Some(RetentionRule::of_bytes(5)));
    assert_eq!(
        serde_json::to_value(both).unwrap(),
        json!({ "max_age_seconds": 604_800.0, "max_bytes": 1 << 30, "keep_unhandled": true })
    );
}

#[tokio::test]
async fn a_rule_that_keeps_nothing_is_refused_before_anything_is_made() {
    let shop = Shop::new().await;
    let useless = RetentionRule { unhandled_max_age: Some(WEEK), ..RetentionRule::of_age(WEEK) };
    assert_eq!(useless.check().unwrap_err().kind(), ErrorKind::InvalidConfiguration);
    let nothing = RetentionRule { max_age: None, ..RetentionRule::of_age(WEEK) };
    let endless = RetentionRule::of_age(Duration::MAX);
    for rule in [nothing, endless, RetentionRule::of_age(Duration::ZERO), RetentionRule::of_bytes(0)] {
        let opened = shop.topics.untyped("items").retention(rule).open().await;
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidConfiguration, "{rule:?}");
    }
    assert!(shop.topics.definitions().await.unwrap().is_empty());
}

#[tokio::test]
async fn unhandled_records_stay_until_each_consumer_has_them() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_handled()).await;
    let other = items.named("other");
    append(&items, 1..=5).await;
    assert_eq!(items.expire().await.unwrap(), 0, "there is no consumer yet");
    for id in [1, 2, 4] {
        items.set_handled(id).await.unwrap();
    }
    other.set_handled(1).await.unwrap();
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (1, vec![2, 3, 4, 5]));
    for id in 2..=5 {
        other.set_handled(id).await.unwrap();
    }
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (1, vec![3, 4, 5]));
    assert_eq!((new_ids(&items).await, new_ids(&other).await), (vec![3, 5], vec![]));
    assert_eq!((items.count().await.unwrap().expired, shop.losses()), (0, vec![]));
}

#[tokio::test]
async fn a_consumer_counts_in_every_partition_of_the_topic() {
    let shop = Shop::new().await;
    let two = NonZeroU32::new(2).unwrap();
    let open = shop.topics.untyped("items").key("k").partitions(two).retention(RetentionRule::of_handled());
    let items = open.open().await.unwrap();
    for key in ["a", "b", "c", "d", "e", "f"] {
        items.append(&json!({ "k": key })).await.unwrap();
    }
    let partitions: Vec<i32> =
        items.iter_all().map_ok(|record| record.partition).try_collect().await.unwrap();
    let mut seen = partitions.clone();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen, [0, 1], "the keys are chosen so");
    for (id, _) in (1..).zip(&partitions).filter(|(_, partition)| **partition == partitions[0]) {
        items.set_handled(id).await.unwrap();
    }
    items.expire().await.unwrap();
    let left: Vec<i32> = items.iter_all().map_ok(|record| record.partition).try_collect().await.unwrap();
    assert!(left.iter().all(|partition| *partition != partitions[0]) && !left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn an_overtaken_consumer_learns_of_it_until_it_goes_on() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=6).await;
    items.set_handled(1).await.unwrap();
    items.set_handled(4).await.unwrap();
    shop.pass_a_week().await;
    append(&items, 7..=8).await;
    for _ in 0..2 {
        assert_eq!(new_ids(&items).await, [7, 8]);
    }
    assert_eq!(shop.losses(), [4, 4], "2, 3, 5 and 6, in each iteration");
    let counts = items.count().await.unwrap();
    assert_eq!((counts.all, counts.new, counts.handled, counts.expired), (2, 2, 0, 4));
    items.set_handled(7).await.unwrap();
    assert_eq!((new_ids(&items).await, shop.losses().len()), (vec![8], 2));
    assert_eq!(items.count().await.unwrap().expired, 4);
}

#[tokio::test]
async fn an_overtaken_claimer_learns_which_offsets_are_gone() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=6).await;
    let claimer = RecordClaimer::new(shop.topics.store().clone(), "workers", "items");
    let Claimed::Records(claim) = claimer.claim(2).await.unwrap() else { panic!("there are records") };
    claimer.acknowledge(&claim, Which::All).await.unwrap();
    shop.pass_a_week().await;
    append(&items, 7..=7).await;
    let gone = claimer.claim(2).await.unwrap();
    assert!(
        matches!(gone.clone(), Claimed::Deleted { partition: 0, offsets } if offsets == (2..6)),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_deleted_fact_stays_a_duplicate_and_ids_go_on() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=3).await;
    shop.pass_a_week().await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (3, vec![]));
    assert_eq!(items.append_if_new(&item(2)).await.unwrap(), AppendedRecord::Duplicate(2));
    let again = shop.home.topics().await;
    let items = again.untyped("items").open().await.unwrap();
    append(&items, 4..=4).await;
    let record = items.get(4).await.unwrap().unwrap();
    assert_eq!((record.id, record.offset), (4, 3));
}

#[tokio::test]
async fn a_migrated_topic_goes_on_deleting_by_its_new_bytes() {
    let shop = Shop::new().await;
    let items = shop.items(RetentionRule::of_bytes(70)).await;
    append(&items, 1..=9).await;
    shop.pass_a_week().await;
    let longer =
        async |old: Value| Ok::<_, std::convert::Infallible>(json!({ "n": old["n"], "more": "0123456789" }));
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" }, "more": { "type": "string" } } });
    let migration = items.migrate(longer).described(schema);
    let items = migration.run().await.unwrap();
    let (counted, kept) = home::bytes(&shop.topics).await;
    assert_eq!(counted, kept);
    items.expire().await.unwrap();
    assert!(home::bytes(&shop.topics).await.1 <= 70);
}
