//! How long a topic keeps its records.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::cleanup::{Retention, clean};
use messagekit::log::{Claimed, RecordClaimer, Which};
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use messagekit_topics::{IfNew, RetentionRule, Topic, TopicEvent, Topics};
use serde_json::{Value, json};
use tempfile::TempDir;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// Longer than a test takes on a busy machine.
const PATIENT: Duration = Duration::from_secs(60);

type Items = Topic<Value, SqliteStore>;

struct File {
    folder: TempDir,
    topics: Topics<SqliteStore>,
    heard: Arc<Mutex<Vec<TopicEvent>>>,
}

impl File {
    async fn new() -> Self {
        Self::with(SqliteStore::options()).await
    }

    async fn with(options: SqliteOptions) -> Self {
        let folder = TempDir::new().unwrap();
        let store = options.transaction_timeout(PATIENT).open(folder.path().join("topics.db")).await.unwrap();
        let topics = Topics::of(store);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let writes = heard.clone();
        topics.observe(move |event| writes.lock().unwrap().push(event.clone()));
        Self { folder, topics, heard }
    }

    async fn items(&self, rule: RetentionRule) -> Items {
        self.topics.untyped("items").dedup(["n"]).retention(rule).open().await.unwrap()
    }

    /// Lets a week pass for all records that are there.
    async fn pass_a_week(&self) {
        self.sql("UPDATE messagekit_topic_records SET created_at = created_at - 604800000001").await;
    }

    async fn sql(&self, sql: &'static str) {
        let store = self.topics.store();
        let mut tx = store.begin().await.unwrap();
        tx.call(move |c| c.execute(sql, [])).await.unwrap();
        store.commit(tx).await.unwrap();
    }

    async fn number(&self, sql: &'static str) -> i64 {
        let store = self.topics.store();
        let mut tx = store.begin().await.unwrap();
        let number = tx.call(move |c| c.query_row(sql, [], |row| row.get(0))).await.unwrap();
        store.commit(tx).await.unwrap();
        number
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

async fn append(items: &Items, numbers: std::ops::RangeInclusive<i64>) {
    items.extend(&numbers.map(item).collect::<Vec<_>>()).await.unwrap();
}

async fn ids(items: &Items) -> Vec<i64> {
    items.iter_all().map_ok(|record| record.id).try_collect().await.unwrap()
}

async fn new_ids(items: &Items) -> Vec<i64> {
    items.iter_new().map_ok(|record| record.id).try_collect().await.unwrap()
}

#[tokio::test]
async fn an_append_deletes_what_is_too_old() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=10).await;
    file.pass_a_week().await;
    append(&items, 11..=12).await;
    assert_eq!(ids(&items).await, [11, 12]);
    assert_eq!(items.count().await.unwrap().all, 2);
    assert!(items.get(3).await.unwrap().is_none());
    assert_eq!(items.set_handled(3).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn appends_alone_hold_a_topic_at_its_bytes() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_bytes(1_000)).await;
    let kept = "SELECT sum(length(payload) + coalesce(length(key), 0)) FROM messagekit_topic_records";
    for from in (1..=2_000).step_by(200) {
        append(&items, from..=from + 199).await;
        assert!(file.number(kept).await <= 1_000);
    }
    assert_eq!(file.number("SELECT bytes FROM messagekit_topic_partitions").await, file.number(kept).await);
    // The rows of deleted ids go with them.
    assert_eq!(file.number("SELECT count(*) FROM messagekit_record_ids").await, 1);
    let wide = Value::from("x".repeat(5_000));
    items.append(&json!({ "n": 0, "wide": wide })).await.unwrap();
    items.expire().await.unwrap();
    assert_eq!(ids(&items).await, [2_001], "the last record stays also if it alone is too large");
}

#[tokio::test]
async fn a_rule_for_a_topic_that_has_records_counts_them() {
    let file = File::new().await;
    let items = file.topics.untyped("items").open().await.unwrap();
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
async fn the_rule_is_the_files_and_the_last_one_given_counts() {
    let file = File::new().await;
    let rule = async || file.topics.definition("items").await.unwrap().unwrap().retention;
    let both =
        RetentionRule { max_bytes: Some(1 << 30), keep_unhandled: true, ..RetentionRule::of_age(WEEK) };
    file.items(both).await;
    assert_eq!(rule().await, Some(both));
    file.topics.untyped("items").open().await.unwrap();
    assert_eq!(rule().await, Some(both), "a program that gives none keeps it");
    file.items(RetentionRule::of_bytes(5)).await;
    assert_eq!(rule().await, Some(RetentionRule::of_bytes(5)));
    assert_eq!(
        serde_json::to_value(both).unwrap(),
        json!({ "max_age_seconds": 604_800.0, "max_bytes": 1 << 30, "keep_unhandled": true })
    );
}

#[tokio::test]
async fn a_rule_that_keeps_nothing_is_refused_before_anything_is_made() {
    let file = File::new().await;
    let nothing = RetentionRule { max_age: None, ..RetentionRule::of_age(WEEK) };
    let endless = RetentionRule::of_age(Duration::MAX);
    for rule in [nothing, endless, RetentionRule::of_age(Duration::ZERO), RetentionRule::of_bytes(0)] {
        let opened = file.topics.untyped("items").retention(rule).open().await;
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::InvalidConfiguration, "{rule:?}");
    }
    assert!(file.topics.definitions().await.unwrap().is_empty());
}

#[tokio::test]
async fn unhandled_records_stay_until_each_consumer_has_them() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_handled()).await;
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
    assert_eq!((items.count().await.unwrap().expired, file.losses()), (0, vec![]));
}

#[tokio::test]
async fn a_consumer_counts_in_every_partition_of_the_topic() {
    let file = File::new().await;
    let two = NonZeroU32::new(2).unwrap();
    let open = file.topics.untyped("items").key("k").partitions(two).retention(RetentionRule::of_handled());
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
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=6).await;
    items.set_handled(1).await.unwrap();
    items.set_handled(4).await.unwrap();
    file.pass_a_week().await;
    append(&items, 7..=8).await;
    for _ in 0..2 {
        assert_eq!(new_ids(&items).await, [7, 8]);
    }
    assert_eq!(file.losses(), [4, 4], "2, 3, 5 and 6, in each iteration");
    let counts = items.count().await.unwrap();
    assert_eq!((counts.all, counts.new, counts.handled, counts.expired), (2, 2, 0, 4));
    items.set_handled(7).await.unwrap();
    assert_eq!((new_ids(&items).await, file.losses().len()), (vec![8], 2));
    assert_eq!(items.count().await.unwrap().expired, 4);
}

#[tokio::test]
async fn an_overtaken_claimer_learns_which_offsets_are_gone() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=6).await;
    let claimer = RecordClaimer::new(file.topics.store().clone(), "workers", "items");
    let Claimed::Records(claim) = claimer.claim(2).await.unwrap() else { panic!("there are records") };
    claimer.acknowledge(&claim, Which::All).await.unwrap();
    file.pass_a_week().await;
    append(&items, 7..=7).await;
    let gone = claimer.claim(2).await.unwrap();
    assert!(
        matches!(gone.clone(), Claimed::Deleted { partition: 0, offsets } if offsets == (2..6)),
        "{gone:?}"
    );
}

#[tokio::test]
async fn a_deleted_fact_stays_a_duplicate_and_ids_go_on() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=3).await;
    file.pass_a_week().await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (3, vec![]));
    assert_eq!(items.append_if_new(&item(2)).await.unwrap(), IfNew::Duplicate(2));
    let path = file.folder.path().join("topics.db");
    file.topics.clone().close().await.unwrap();
    let items = Topics::open(&path).await.unwrap().untyped("items").open().await.unwrap();
    append(&items, 4..=4).await;
    let record = items.get(4).await.unwrap().unwrap();
    assert_eq!((record.id, record.offset), (4, 3));
}

#[tokio::test]
async fn markers_go_with_their_records_but_not_those_of_a_copy() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=3).await;
    for id in 1..=3 {
        items.set_handled(id).await.unwrap();
    }
    file.pass_a_week().await;
    // A replay appends the event again, with its id.
    append(&items, 4..=4).await;
    let markers = "SELECT count(*) FROM messagekit_processed_messages";
    assert_eq!(file.number(markers).await, 0);
    items.set_handled(4).await.unwrap();
    append(&items, 5..=5).await;
    file.sql(
        "UPDATE messagekit_topic_records SET event_id = (SELECT event_id FROM messagekit_topic_records ORDER BY pos LIMIT 1)",
    )
    .await;
    file.sql("UPDATE messagekit_topic_records SET created_at = 0 WHERE pos = (SELECT min(pos) FROM messagekit_topic_records)")
        .await;
    assert_eq!((items.expire().await.unwrap(), file.number(markers).await), (1, 1));
}

#[tokio::test]
async fn what_a_relay_has_not_published_stays() {
    let file = File::with(SqliteStore::options().relayed_topics(["items"])).await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    append(&items, 1..=4).await;
    file.sql("DELETE FROM messagekit_outbox_pending WHERE pos & 15 IN (0, 2)").await;
    file.pass_a_week().await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (1, vec![2, 3, 4]));
    file.sql("DELETE FROM messagekit_outbox_pending").await;
    assert_eq!((items.expire().await.unwrap(), ids(&items).await), (3, vec![]));
}

#[tokio::test]
async fn a_migrated_topic_goes_on_deleting_by_its_new_bytes() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_bytes(70)).await;
    append(&items, 1..=9).await;
    file.pass_a_week().await;
    let longer =
        async |old: Value| Ok::<_, std::convert::Infallible>(json!({ "n": old["n"], "more": "0123456789" }));
    let schema = json!({ "type": "object", "properties": { "n": { "type": "integer" }, "more": { "type": "string" } } });
    let migration = items.migrate(longer).described(schema);
    let items = migration.run().await.unwrap();
    let kept = "SELECT sum(length(payload)) FROM messagekit_topic_records";
    assert_eq!(file.number("SELECT bytes FROM messagekit_topic_partitions").await, file.number(kept).await);
    items.expire().await.unwrap();
    assert!(file.number(kept).await <= 70);
}

#[tokio::test]
async fn a_cleanup_deletes_by_the_rules_of_all_topics() {
    let file = File::new().await;
    let items = file.items(RetentionRule::of_age(WEEK)).await;
    let forever = file.topics.untyped("forever").open().await.unwrap();
    let small = file.topics.untyped("small").retention(RetentionRule::of_bytes(7)).open().await.unwrap();
    append(&items, 1..=2_500).await;
    append(&forever, 1..=3).await;
    append(&small, 1..=3).await;
    file.pass_a_week().await;
    let store = file.topics.store();
    for (is_trial, removed) in [(true, 2_500), (false, 2_500), (false, 0)] {
        let report = clean(store, &Retention::default(), is_trial, std::future::pending()).await.unwrap();
        assert_eq!((report[0].removed, &report[0].kept_because), (removed, &None), "trial: {is_trial}");
    }
    assert_eq!((ids(&items).await.len(), ids(&forever).await.len(), ids(&small).await.len()), (0, 3, 1));
}
