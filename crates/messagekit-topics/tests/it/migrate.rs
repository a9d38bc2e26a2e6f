//! Giving the records of a topic another type.

use std::convert::Infallible;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Arc, Mutex};

use futures_util::{FutureExt, TryStreamExt};
use messagekit::ErrorKind;
use messagekit_topic_store::{Claimed, RecordClaimer, TopicDefinitions, Which};
use messagekit_topics::{Error, Record, RecordStatus, Topic, Topics};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::home::{self, Db, Home};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct Old {
    url: String,
    score: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
struct New {
    url: String,
    points: i64,
}

type Items<T> = Topic<T, Db>;

fn old(number: i64) -> Old {
    Old { url: format!("https://example.org/{number}"), score: number.to_string() }
}

async fn parsed(old: Old) -> Result<New, std::num::ParseIntError> {
    Ok(New { points: old.score.parse()?, url: old.url })
}

async fn items(topics: &Topics<Db>, count: i64) -> Items<Old> {
    let items = topics.topic::<Old>("items").dedup(["url"]).open().await.unwrap();
    items.extend(&(1..=count).map(old).collect::<Vec<_>>()).await.unwrap();
    items
}

async fn all<T>(topic: &Items<T>) -> Vec<Record<T>>
where
    T: Serialize + serde::de::DeserializeOwned + Send + 'static,
{
    topic.iter_all().try_collect().await.unwrap()
}

#[tokio::test]
async fn records_keep_what_they_are_and_get_the_new_type() {
    let topics = home::topics().await;
    let before = items(&topics, 600).await;
    before.set_handled(2).await.unwrap();
    let untouched = all(&before).await;
    assert_eq!(before.migrate(parsed).dry_run().await.unwrap(), 600);
    let after = before.migrate(parsed).run().await.unwrap();
    for (was, is) in std::iter::zip(untouched, all(&after).await) {
        assert_eq!(
            (is.id, is.offset, is.created_at, is.handled_at),
            (was.id, was.offset, was.created_at, was.handled_at)
        );
        assert_eq!((is.status, is.dedup_hash), (was.status, was.dedup_hash));
        assert_eq!(is.data, New { url: was.data.url, points: was.data.score.parse().unwrap() });
        assert_ne!(is.payload_hash, was.payload_hash);
    }
    assert_eq!(after.count().await.unwrap().handled, 1);
    assert_eq!(
        after.append(&New { url: "https://example.org/1".into(), points: 1 }).await.unwrap_err().kind(),
        ErrorKind::Duplicate
    );
    assert_eq!(after.append(&New { url: "u".into(), points: 1 }).await.unwrap(), 601);
    topics.topic::<New>("items").dedup(["url"]).open().await.expect("the topic has the new type");
    let refused = topics.topic::<Old>("items").dedup(["url"]).open().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_program_with_the_old_type_appends_nothing_more() {
    let topics = home::topics().await;
    let before = items(&topics, 2).await;
    before.migrate(parsed).run().await.unwrap();
    let refused = before.append(&old(3)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::SchemaMismatch);
    assert!(refused.to_string().contains("migrated"), "{refused}");
    let again = before.migrate(parsed).run().await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::SchemaMismatch);
    let unreadable = before.iter_new().try_next().await.unwrap_err();
    assert_eq!(unreadable.kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn a_function_that_fails_leaves_the_topic_as_it_was() {
    let topics = home::topics().await;
    let before = items(&topics, 300).await;
    before.append(&Old { url: "last".into(), score: "many".into() }).await.unwrap();
    for failed in
        [before.migrate(parsed).dry_run().await.unwrap_err(), before.migrate(parsed).run().await.unwrap_err()]
    {
        assert_eq!((failed.kind(), failed.context("record")), (ErrorKind::Other, Some("301")));
        assert!(!messagekit::chain(&failed).contains("many"), "{failed:?}");
    }
    assert_eq!(all(&before).await.len(), 301);
    before.append(&old(999)).await.expect("the topic has its type");
}

#[tokio::test]
async fn records_that_would_be_equal_are_both_named() {
    let topics = home::topics().await;
    let before = items(&topics, 5).await;
    let merges =
        async |old: Old| Ok::<_, Infallible>(New { url: (old.url.len() % 2).to_string(), points: 0 });
    let dry = before.migrate(merges).dry_run().await.unwrap_err();
    let refused = before.migrate(merges).run().await.unwrap_err();
    for error in [dry, refused] {
        let duplicate = error.duplicate().unwrap();
        assert!(duplicate.record.unwrap() > duplicate.existing, "{duplicate:?}");
    }
    assert_eq!(
        before.append(&old(5)).await.unwrap_err().kind(),
        ErrorKind::Duplicate,
        "hashes are as before"
    );
    assert_eq!(all(&before).await[0].data, old(1));
}

#[tokio::test]
async fn the_dedup_rule_may_change() {
    let topics = home::topics().await;
    let before = items(&topics, 3).await;
    let unknown = before.migrate(parsed).dedup(["score"]).run().await.unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::InvalidConfiguration);
    let after = before.migrate(parsed).dedup(["points"]).run().await.unwrap();
    let equal = after.append(&New { url: "other".into(), points: 3 }).await.unwrap_err();
    assert_eq!(equal.duplicate().unwrap().existing, 3);
    after.append(&New { url: "https://example.org/1".into(), points: 4 }).await.unwrap();
}

#[tokio::test]
async fn the_key_stays_where_records_stay_in_partitions() {
    let topics = home::topics().await;
    let four = NonZeroU32::new(4).unwrap();
    let before = topics.topic::<Old>("items").key("url").partitions(four).open().await.unwrap();
    before.append(&old(1)).await.unwrap();
    let refused = before.migrate(parsed).key(None).run().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    before.migrate(parsed).run().await.unwrap();
}

#[tokio::test]
async fn what_is_appended_meanwhile_is_migrated_too() {
    let topics = home::topics().await;
    let before = items(&topics, 300).await;
    let (appends, left) = (before.clone(), std::sync::Arc::new(std::sync::atomic::AtomicI64::new(5)));
    let slow = move |old: Old| {
        let (appends, left) = (appends.clone(), left.clone());
        async move {
            if old.score.ends_with("00") && left.fetch_sub(1, std::sync::atomic::Ordering::SeqCst) > 0 {
                appends.append(&self::old(1_000 * old.score.parse::<i64>()?)).await.unwrap();
            }
            parsed(old).await
        }
    };
    let after = before.migrate(slow).run().await.unwrap();
    let points: Vec<i64> = all(&after).await.into_iter().map(|record| record.data.points).collect();
    assert_eq!(points.len(), 305);
    assert_eq!(points[300..], [100_000, 200_000, 300_000, 100_000_000, 200_000_000]);
}

#[tokio::test]
async fn a_dropped_migration_leaves_the_topic_whole() {
    for polls in 1..home::PLACES {
        let topics = home::topics().await;
        let before = items(&topics, 700).await;
        let is_done = {
            let mut running = pin!(before.migrate(parsed).run());
            let mut ended = false;
            for _ in 0..polls {
                ended = (&mut running).now_or_never().is_some();
                if ended {
                    break;
                }
                // Not a wait: the writer has its own thread.
                std::thread::yield_now();
            }
            ended
        };
        // A queued call goes on after the drop. The writer takes one after the other: this one is behind it.
        topics.untyped("behind").open().await.unwrap();
        let as_json: Vec<Value> =
            before.as_json().iter_all().map_ok(|record| record.data).try_collect().await.unwrap();
        let new = as_json.iter().filter(|value| value.get("points").is_some()).count();
        assert!(new == 0 || new == 700, "{new} of 700 after {polls} polls");
        if !is_done && new == 0 {
            let after = before.migrate(parsed).run().await.unwrap();
            assert_eq!(all(&after).await.len(), 700);
        }
    }
}

#[tokio::test]
async fn a_failed_record_of_a_pipeline_is_migrated_with_its_copy() {
    use messagekit::operations::{FailedMessageFilter, FailedMessages};
    let topics = home::topics().await;
    let before = items(&topics, 2).await;
    let failing = before.pipe(async |_| Err::<New, _>("no")).to_nothing();
    failing.run().await.unwrap_err();
    let after = before.migrate(parsed).run().await.unwrap();
    let store = topics.store();
    let head = store.list(&FailedMessageFilter::default(), 1).await.unwrap().remove(0);
    let copy = store.show(head.id).await.unwrap().received.message.payload;
    assert_eq!(serde_json::from_slice::<Value>(&copy).unwrap()["points"], 1);
    after.pipe(async |_| Ok::<_, Error>(())).to_nothing().run().await.unwrap();
    assert_eq!(after.count().await.unwrap().handled, 2);
}

#[tokio::test]
async fn topics_of_json_can_be_migrated_by_their_schema() {
    let topics = home::topics().await;
    let schema = |field: &str| json!({"type": "object", "required": [field], "properties": {field: {"type": "integer"}}});
    let before = topics.described("numbers", schema("n")).open().await.unwrap();
    before.append(&json!({"n": 1})).await.unwrap();
    let renames = async |old: Value| Ok::<_, Infallible>(json!({"number": old["n"]}));
    let after = before.migrate::<Value, _, _, _>(renames).described(schema("number")).run().await.unwrap();
    assert_eq!(all(&after).await[0].data, json!({"number": 1}));
    topics.described("numbers", schema("number")).open().await.unwrap();
}

#[tokio::test]
async fn processes_see_a_migration_as_one_change() {
    let home = Home::new().await;
    let (first, second) = (home.topics().await, home.topics().await);
    let before = items(&first, 500).await;
    let other = second.untyped("items").open().await.unwrap();
    let migrates = tokio::spawn(async move { before.migrate(parsed).run().await.map(drop) });
    let mut looks = 0;
    loop {
        let ended = migrates.is_finished();
        // A page is one look of a reader: all its records are of one form.
        let page: Vec<Value> = other.iter_all().map_ok(|record| record.data).try_collect().await.unwrap();
        let (first_page, _) = page.split_at(256);
        let new = first_page.iter().filter(|value| value.get("points").is_some()).count();
        assert!(new == 0 || new == 256, "{new} of 256");
        looks += 1;
        if ended {
            assert_eq!(new, 256);
            break;
        }
    }
    migrates.await.unwrap().unwrap();
    assert!(looks > 1, "it was never looked at");
    let record = all(&second.topic::<New>("items").dedup(["url"]).open().await.unwrap()).await.remove(0);
    assert_eq!(record.status, RecordStatus::New);
}

#[tokio::test]
async fn a_call_of_a_dropped_migration_changes_nothing_of_the_next() {
    use messagekit_topic_store::{MigratedRecord, Swap, TopicDefinition, TopicMigration};
    let topics = home::topics().await;
    let before = items(&topics, 3).await;
    let (store, name) = (topics.store(), "items".into());
    let form = |id: i64, by: &str| MigratedRecord {
        id,
        payload: json!({ "url": id.to_string(), "by": by }).to_string().into(),
        key: None,
        dedup_hash: Some(format!("{by}-{id}")),
    };
    let all = |by: &'static str| (1..=3).map(move |id| form(id, by)).collect::<Vec<_>>();
    let from = store.topic_definition(&name).await.unwrap().unwrap();
    let to = TopicDefinition { schema: None, shape: None, ..from.clone() };
    let first = store.begin_migration(&name).await.unwrap();
    store.stage(&name, &first, all("first")).await.unwrap();
    let second = store.begin_migration(&name).await.unwrap();
    store.stage(&name, &second, vec![form(1, "second")]).await.unwrap();
    // They were queued when their caller was dropped.
    store.stage(&name, &first, vec![form(1, "first"), form(2, "first")]).await.unwrap();
    let late = store.swap(&first, &from, &to, 3).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
    let early = store.swap(&second, &from, &to, 3).await.unwrap_err();
    assert_eq!(early.kind(), ErrorKind::Conflict, "two records have no next form");
    store.stage(&name, &second, all("second")).await.unwrap();
    assert_eq!(store.swap(&second, &from, &to, 3).await.unwrap(), Swap::Done);
    let by: Vec<Value> =
        before.as_json().iter_all().map_ok(|record| record.data["by"].clone()).try_collect().await.unwrap();
    assert_eq!(by, ["second", "second", "second"]);
}

#[tokio::test]
async fn a_migration_that_waited_for_another_is_refused() {
    let topics = home::topics().await;
    let before = items(&topics, 300).await;
    let (first, second) = (before.migrate(parsed), before.migrate(parsed));
    let (first, second) = tokio::join!(first.run(), second.run());
    let refused = [first.err(), second.err()].into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].kind(), ErrorKind::SchemaMismatch);
}

#[tokio::test]
async fn records_that_a_worker_holds_are_not_migrated() {
    let topics = home::topics().await;
    let before = items(&topics, 3).await;
    let untouched = all(&before).await;
    let claimer = RecordClaimer::new(topics.store().clone(), "workers", "items");
    let claim = async || match claimer.claim(1).await.unwrap() {
        Claimed::Records(claim) => claim,
        other => panic!("{other:?}"),
    };
    let held = claim().await;
    assert_eq!(before.migrate(parsed).run().await.unwrap_err().kind(), ErrorKind::WrongState);
    claimer.acknowledge(&held, Which::All).await.unwrap();

    // A worker that claims while the next form is made.
    let (reaches, reached) = tokio::sync::oneshot::channel();
    let (goes_on, may_go_on) = tokio::sync::oneshot::channel();
    let gates = Arc::new(Mutex::new(Some((reaches, may_go_on))));
    let waiting = before.migrate(move |old: Old| {
        let gates = gates.lock().unwrap().take();
        async move {
            if let Some((reaches, may_go_on)) = gates {
                reaches.send(()).unwrap();
                may_go_on.await.unwrap();
            }
            parsed(old).await
        }
    });
    let migrating = tokio::spawn(waiting.run());
    reached.await.unwrap();
    let held = claim().await;
    goes_on.send(()).unwrap();
    assert_eq!(migrating.await.unwrap().unwrap_err().kind(), ErrorKind::WrongState);
    assert_eq!(all(&before).await, untouched);
    claimer.release(&held, Which::All).await.unwrap();
    before.migrate(parsed).run().await.unwrap();
}

#[tokio::test]
async fn a_reader_with_the_old_type_is_asked_to_open_the_topic_again() {
    let topics = home::topics().await;
    let before = items(&topics, 3).await;
    before.migrate(parsed).run().await.unwrap();
    let found: Result<Vec<_>, Error> = before.iter_new().try_collect().await;
    for error in [found.unwrap_err(), before.get(1).await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::SchemaMismatch);
        assert!(error.to_string().contains("open it again"), "{error}");
    }
}
