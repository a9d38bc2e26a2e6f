//! Typed topics in one home, as a program sees them.

use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use messagekit::{ErrorKind, Store};
use messagekit_topic_store::AppendedRecord;
use messagekit_topics::{Error, Guard, Record, RecordStatus, Topic};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Item {
    url: String,
    title: String,
    score: f64,
}

pub(crate) fn item(number: u32) -> Item {
    Item {
        url: format!("https://example.org/{number}"),
        title: format!("item {number}"),
        score: f64::from(number) / 4.0,
    }
}

async fn items_of(home: &Home) -> Topic<Item, Db> {
    home.topics().await.topic("rss.items").dedup(["url"]).open().await.unwrap()
}

pub(crate) async fn new(topic: &Topic<Item, Db>) -> Vec<Record<Item>> {
    topic.iter_new().try_collect().await.unwrap()
}

pub(crate) fn ids(records: &[Record<Item>]) -> Vec<i64> {
    records.iter().map(|record| record.id).collect()
}

#[tokio::test]
async fn a_record_comes_back_as_it_was_appended() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    assert_eq!(items.append(&item(1)).await.unwrap(), 1);
    let found = new(&items).await.pop().unwrap();
    assert_eq!((found.id, &*found.topic, found.partition, found.offset), (1, "rss.items", 0, 0));
    assert_eq!((&found.data, found.status, found.handled_at), (&item(1), RecordStatus::New, None));
    // What Python computes over the same record.
    let payload = r#"{"score":0.25,"title":"item 1","url":"https://example.org/1"}"#;
    let value: Value = serde_json::from_str(payload).unwrap();
    assert_eq!(messagekit_schema::canonical::text(&value), payload);
    assert_eq!(found.payload_hash, messagekit_schema::canonical::hash(&value));
    assert_eq!(
        found.dedup_hash,
        Some(messagekit_schema::canonical::hash(&json!({"url": "https://example.org/1"})))
    );
}

/// Stored, such a record would stop every reader of its type for ever.
#[tokio::test]
async fn a_value_that_its_type_cannot_read_again_is_refused() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    let copies = topics.topic::<Item>("rss.copies").open().await.unwrap();
    for score in [f64::NAN, f64::INFINITY] {
        let bad = Item { score, ..item(2) };
        for refused in [
            items.append(&bad).await.map(drop),
            items.append_if_new(&bad).await.map(drop),
            items.extend(&[item(3), bad.clone()]).await.map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::InvalidEvent);
            assert!(refused.to_string().contains("cannot be read again as its type"), "{refused}");
        }
    }
    items.append(&item(1)).await.unwrap();
    let spoiled = async |item: Item| Ok::<_, std::convert::Infallible>(Item { score: f64::NAN, ..item });
    let failed = items.pipe(spoiled).to(&copies).run().await.unwrap_err();
    assert!(messagekit::chain(&failed).contains("cannot be read again as its type"), "{failed}");
    let migrated = items.migrate::<Item, _, _, _>(spoiled).run().await;
    assert!(messagekit::chain(&migrated.unwrap_err()).contains("cannot be read again as its type"));
    assert_eq!((ids(&new(&items).await), copies.count().await.unwrap().all), (vec![1], 0));
}

#[tokio::test]
async fn ids_count_over_all_topics_in_the_order_of_the_appends() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let items = topics.topic::<Item>("rss.items").open().await.unwrap();
    let others = topics.untyped("rss.others").open().await.unwrap();
    assert_eq!(items.extend(&[item(1), item(2)]).await.unwrap(), [1, 2]);
    assert_eq!(others.append(&json!({"any": "thing"})).await.unwrap(), 3);
    assert_eq!(items.append(&item(3)).await.unwrap(), 4);
    assert_eq!(ids(&new(&items).await), [1, 2, 4]);
}

#[tokio::test]
async fn a_duplicate_is_refused_or_skipped_and_names_the_other() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    items.append(&item(1)).await.unwrap();
    let changed = Item { title: "another title".into(), ..item(1) };
    let refused = items.append(&changed).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Duplicate);
    let duplicate = refused.duplicate().unwrap();
    assert_eq!((&*duplicate.topic, duplicate.existing), ("rss.items", 1));
    assert_eq!(items.append_if_new(&changed).await.unwrap(), AppendedRecord::Duplicate(1));
    assert_eq!(items.append_if_new(&item(2)).await.unwrap(), AppendedRecord::Appended(2));
    let refused = items.extend(&[item(3), item(4), item(3)]).await.unwrap_err();
    assert_eq!(refused.duplicate().unwrap().existing, 3, "it stands twice in the call");
    assert_eq!(items.count().await.unwrap().all, 2, "nothing of the call was appended");
    let outcomes = items.extend_if_new(&[item(2), item(3), item(3)]).await.unwrap();
    assert_eq!(
        outcomes,
        [AppendedRecord::Duplicate(2), AppendedRecord::Appended(3), AppendedRecord::Duplicate(3)]
    );
}

#[tokio::test]
async fn an_append_shares_the_transaction_of_its_caller() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    let mut tx = topics.store().begin().await.unwrap();
    items.append_in(&mut tx, &item(1)).await.unwrap();
    topics.store().rollback(tx).await.unwrap();
    let mut tx = topics.store().begin().await.unwrap();
    // A server may leave a gap for the record that was rolled back; its hash is free again.
    let first = items.append_in(&mut tx, &item(1)).await.unwrap();
    assert!((1..=2).contains(&first), "{first}");
    let twice = items.append_in(&mut tx, &item(1)).await.unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::Duplicate);
    assert_eq!(items.append_in(&mut tx, &item(2)).await.unwrap(), first + 1, "the transaction goes on");
    topics.store().commit(tx).await.unwrap();
    assert_eq!(ids(&new(&items).await), [first, first + 1]);
}

#[tokio::test]
async fn handled_records_are_no_longer_new_and_keep_their_time() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    items.extend(&[item(1), item(2), item(3), item(4)]).await.unwrap();
    let all = new(&items).await;
    items.ack(&all[2]).await.unwrap();
    items.ack(&all[0]).await.unwrap();
    assert_eq!(ids(&new(&items).await), [2, 4]);
    let handled: Vec<_> = items.iter_handled().try_collect().await.unwrap();
    assert_eq!(ids(&handled), [1, 3]);
    let first = handled[0].handled_at.unwrap();
    items.ack(&handled[0]).await.unwrap();
    let handled: Vec<_> = items.iter_handled().try_collect().await.unwrap();
    assert!(handled[0].handled_at.unwrap() >= first, "a second ack refreshes it");
    items.set_handled(2).await.unwrap();
    let counts = items.count().await.unwrap();
    assert_eq!((counts.all, counts.new, counts.handled, counts.dead), (4, 1, 3, 0));
    assert_eq!(ids(&new(&items).await), [4]);
    for unknown in [0, 5, i64::MAX, -1] {
        assert_eq!(items.set_handled(unknown).await.unwrap_err().kind(), ErrorKind::NotFound, "{unknown}");
    }
}

#[tokio::test]
async fn consumers_see_the_same_records_apart() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    items.extend(&[item(1), item(2)]).await.unwrap();
    let summaries = items.named("summaries");
    summaries.set_handled(1).await.unwrap();
    assert_eq!((ids(&new(&summaries).await), ids(&new(&items).await)), (vec![2], vec![1, 2]));
    assert_eq!(items.count().await.unwrap().handled, 0);
}

#[tokio::test]
async fn records_of_several_partitions_come_in_the_order_of_their_ids() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let partitions = std::num::NonZeroU32::new(4).unwrap();
    let items = topics.topic::<Item>("rss.items").key("url").partitions(partitions).open().await.unwrap();
    for number in 0..600 {
        items.append(&item(number)).await.unwrap();
    }
    let all = new(&items).await;
    assert_eq!(ids(&all), (1..=600).collect::<Vec<i64>>());
    let used: std::collections::BTreeSet<i32> = all.iter().map(|record| record.partition).collect();
    assert_eq!(used.len(), 4);
    for record in all.iter().filter(|record| record.id % 3 != 0) {
        items.ack(record).await.unwrap();
    }
    assert_eq!(ids(&new(&items).await), (1..=200).map(|number| number * 3).collect::<Vec<i64>>());
    let counts = items.count().await.unwrap();
    assert_eq!((counts.new, counts.handled), (200, 400));
}

#[tokio::test]
async fn an_iteration_goes_on_with_what_is_appended_meanwhile() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    items.append(&item(1)).await.unwrap();
    let mut iteration = items.iter_new();
    assert_eq!(iteration.try_next().await.unwrap().unwrap().id, 1);
    items.append(&item(2)).await.unwrap();
    assert_eq!(iteration.try_next().await.unwrap().unwrap().id, 2);
    assert!(iteration.try_next().await.unwrap().is_none(), "what was not acknowledged does not come twice");
    drop(iteration);
    assert_eq!(ids(&new(&items).await), [1, 2]);
}

#[tokio::test]
async fn another_process_sees_topics_duplicates_and_handled_records() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    items.extend(&[item(1), item(2)]).await.unwrap();
    items.set_handled(1).await.unwrap();
    let there = items_of(&home).await;
    assert_eq!(ids(&new(&there).await), [2]);
    assert_eq!(there.append_if_new(&item(1)).await.unwrap(), AppendedRecord::Duplicate(1));
    assert_eq!(there.append(&item(3)).await.unwrap(), 3);
    assert_eq!(ids(&new(&items).await), [2, 3]);
}

/// Opens a topic of a type over a file whose topic holds [`Item`]s.
async fn reopened<T>(home: &Home, guard: Guard) -> Result<Topic<T, Db>, Error>
where
    T: Serialize + serde::de::DeserializeOwned + JsonSchema,
{
    let topics = home.topics().await;
    let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    items.append_if_new(&item(1)).await.unwrap();
    topics.topic::<T>("rss.items").dedup(["url"]).guard(guard).open().await
}

#[tokio::test]
async fn a_topic_with_another_schema_names_the_fields_that_differ() {
    #[derive(Debug, Serialize, Deserialize, JsonSchema)]
    struct Changed {
        url: String,
        score: i64,
        author: Option<String>,
    }
    for guard in [Guard::Exact, Guard::Compatible] {
        let refused = reopened::<Changed>(&Home::new().await, guard).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
        let mismatch = refused.schema_mismatch().unwrap();
        let paths: Vec<&str> = mismatch.differences.iter().map(|difference| &*difference.path).collect();
        assert_eq!((paths, &mismatch.dedup), (vec!["author", "score", "title"], &None));
        let text = refused.to_string();
        assert!(
            text.contains("different schema") && text.contains("score is number there and integer here"),
            "{text}"
        );
    }
    let home = Home::new().await;
    let off = reopened::<Changed>(&home, Guard::Off).await.unwrap();
    let unreadable = off.iter_new().try_next().await.unwrap_err();
    assert_eq!((unreadable.kind(), unreadable.context("record")), (ErrorKind::Undecodable, Some("1")));
}

#[tokio::test]
async fn optional_fields_may_be_added_where_the_guard_says_so() {
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Longer {
        url: String,
        title: String,
        score: f64,
        author: Option<String>,
    }
    let home = Home::new().await;
    assert!(reopened::<Longer>(&home, Guard::Exact).await.is_err());
    let longer = reopened::<Longer>(&home, Guard::Compatible).await.unwrap();
    longer
        .append(&Longer { url: "u".into(), title: "t".into(), score: 1.0, author: Some("a".into()) })
        .await
        .unwrap();
    let found: Vec<_> = longer.iter_new().try_collect().await.unwrap();
    assert_eq!(
        found.iter().map(|record| record.data.author.clone()).collect::<Vec<_>>(),
        [None, Some("a".into())]
    );
}

#[tokio::test]
async fn the_name_and_docs_of_a_type_are_no_part_of_its_schema() {
    /// The same fields under another name.
    #[derive(Serialize, Deserialize, JsonSchema)]
    struct Renamed {
        /// Its score.
        score: f64,
        title: String,
        url: String,
    }
    reopened::<Renamed>(&Home::new().await, Guard::Exact).await.unwrap();
}

#[tokio::test]
async fn rules_of_a_topic_are_checked() {
    let home = Home::new().await;
    let topics = home.topics().await;
    let kind = |outcome: Result<Topic<Item, Db>, Error>| outcome.unwrap_err().kind();
    let unknown = topics.topic::<Item>("rss.items").dedup(["link"]).open().await;
    assert!(unknown.as_ref().unwrap_err().to_string().contains("score, title, url"), "{unknown:?}");
    assert_eq!(kind(unknown), ErrorKind::InvalidConfiguration);
    assert_eq!(
        kind(topics.topic("rss.items").dedup(["url", "url"]).open().await),
        ErrorKind::InvalidConfiguration
    );
    assert_eq!(kind(topics.topic("rss.items").key("link").open().await), ErrorKind::InvalidConfiguration);
    assert_eq!(kind(topics.topic("no good name").open().await), ErrorKind::InvalidEvent);
    let text = topics.topic::<String>("rss.texts").open().await.unwrap_err();
    assert_eq!(text.kind(), ErrorKind::InvalidConfiguration);

    topics.topic::<Item>("rss.items").dedup(["url", "title"]).open().await.unwrap();
    topics
        .topic::<Item>("rss.items")
        .dedup(["title", "url"])
        .open()
        .await
        .expect("the order does not matter");
    let other = topics.topic::<Item>("rss.items").open().await.unwrap_err();
    assert!(other.to_string().contains("different dedup config"), "{other}");
    assert_eq!(other.schema_mismatch().unwrap().dedup.as_ref().unwrap().0, ["title", "url"]);
}

/// Returns the middle one of several times.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_gets_what_another_process_appends() {
    let home = Home::new().await;
    let (here, there) = (items_of(&home).await, items_of(&home).await);
    let (ask, mut asked) = tokio::sync::mpsc::unbounded_channel();
    let (returned, mut commits) = tokio::sync::mpsc::unbounded_channel();
    let mut following = here.follow();
    there.append(&item(0)).await.unwrap();
    assert_eq!(following.try_next().await.unwrap().unwrap().id, 1);
    let writer = tokio::spawn(async move {
        for number in 1..=100 {
            // The follower has seen the one before, and waits again.
            asked.recv().await.unwrap();
            there.append(&item(number)).await.unwrap();
            returned.send(Instant::now()).unwrap();
        }
    });
    let (mut since_append, mut since_commit) = (Vec::new(), Vec::new());
    for number in 1..=100 {
        let begun = Instant::now();
        ask.send(()).unwrap();
        let record = following.try_next().await.unwrap().unwrap();
        let seen = Instant::now();
        assert_eq!(record.data, item(number));
        since_append.push(seen - begun);
        since_commit.push(seen.saturating_duration_since(commits.recv().await.unwrap()));
    }
    writer.await.unwrap();
    println!(
        "p50 from the commit: {:?}, from the append with its flush: {:?}",
        median(since_commit),
        median(since_append)
    );
    here.named("other").append(&item(101)).await.unwrap();
    assert_eq!(following.try_next().await.unwrap().unwrap().id, 102, "also what its own process appends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_under_writes_are_of_one_moment() {
    let home = Home::new().await;
    let items = items_of(&home).await;
    let writer = items.clone();
    let writing = tokio::spawn(async move {
        for number in 0..400 {
            writer.append(&item(number)).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let counts = items.count().await.unwrap();
        assert_eq!((counts.handled, counts.dead, counts.new), (0, 0, counts.all), "nothing was handled");
    }
    writing.await.unwrap();
    assert_eq!(items.count().await.unwrap().new, 400);
}

#[tokio::test]
async fn a_record_that_is_refused_leaves_no_hash_in_the_transaction() {
    let topics = home::topics().await;
    let notes = topics.untyped("notes").dedup(["url"]).open().await.unwrap();
    let store = topics.store();
    let mut tx = store.begin().await.unwrap();
    let large = json!({ "url": "a", "text": "x".repeat(messagekit::adapter::MAX_PAYLOAD_BYTES) });
    let refused = notes.append_in(&mut tx, &large).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooLarge);
    notes.append_in(&mut tx, &json!({ "url": "a" })).await.unwrap();
    store.commit(tx).await.unwrap();
    let known = notes.extend(&[json!({ "url": "b" }), json!({ "url": "c" }), json!({ "url": "a" })]).await;
    assert_eq!(known.unwrap_err().duplicate().unwrap().existing, 1);
    let twice = notes.extend(&[json!({ "url": "b" }), json!({ "url": "b" })]).await;
    assert_eq!(twice.unwrap_err().duplicate().unwrap().existing, 2, "the id that the first would have had");
    notes.extend(&[json!({ "url": "b" }), json!({ "url": "c" })]).await.unwrap();
    assert_eq!(notes.count().await.unwrap().all, 3);
}
