//! What only a file does: closing, copies, topics in memory, commits that appends share.

use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::AppendedRecord;
use messagekit_topics::{Error, Topics};
use serde_json::json;
use tempfile::TempDir;

use crate::topics::{Item, ids, item, new};

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    async fn topics(&self) -> Topics<SqliteStore> {
        Topics::open(self.folder.path().join("rss.db")).await.unwrap()
    }
}

#[tokio::test]
async fn events_of_an_outbox_can_be_read_as_records() {
    use messagekit::adapter::OutboxRows;
    let file = File::new();
    let topics = file.topics().await;
    let mut tx = topics.store().begin().await.unwrap();
    let event =
        |id: &str| messagekit::Message::new("shop.order", r#"{"a":1}"#).with_header("id", id.to_owned());
    topics.store().write(&mut tx, &[event("e-1"), event("e-2")]).await.unwrap();
    topics.store().commit(tx).await.unwrap();
    let orders = topics.untyped("shop.order").open().await.unwrap();
    assert_eq!(orders.append(&json!({"b": 2})).await.unwrap(), 3, "what was there before has ids, too");
    let found: Vec<_> = orders.iter_new().try_collect().await.unwrap();
    assert_eq!(
        found.iter().map(|record| record.data.clone()).collect::<Vec<_>>(),
        [json!({"a": 1}), json!({"a": 1}), json!({"b": 2})]
    );
    let mut tx = topics.store().begin().await.unwrap();
    topics.store().write(&mut tx, &[event("e-3")]).await.unwrap();
    topics.store().commit(tx).await.unwrap();
    assert_eq!(orders.iter_new().try_collect::<Vec<_>>().await.unwrap().last().unwrap().id, 4);
}

#[tokio::test]
async fn appenders_at_the_same_time_share_commits_and_lose_nothing() {
    let file = File::new();
    let topics = file.topics().await;
    let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    let before = topics.store().commit_count();
    let tasks: Vec<_> = (0..64)
        .map(|number| {
            let items = items.clone();
            tokio::spawn(async move { items.append(&item(number)).await.unwrap() })
        })
        .collect();
    let mut seen = Vec::new();
    for task in tasks {
        seen.push(task.await.unwrap());
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=64).collect::<Vec<i64>>());
    assert_eq!(ids(&new(&items).await), seen);
    let commits = topics.store().commit_count() - before;
    assert!(commits < 64, "{commits} commits for 64 appends");
}

#[tokio::test]
async fn closing_leaves_one_file_and_refuses_what_comes_later() {
    let file = File::new();
    let topics = file.topics().await;
    let items = topics.topic::<Item>("rss.items").open().await.unwrap();
    items.append(&item(1)).await.unwrap();
    topics.close().await.unwrap();
    let left: Vec<_> =
        std::fs::read_dir(file.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["rss.db"]);
    assert_eq!(items.append(&item(2)).await.unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(items.iter_new().try_next().await.unwrap_err().kind(), ErrorKind::Closed);
}

#[tokio::test]
async fn a_follower_ends_when_the_file_is_closed() {
    let file = File::new();
    let topics = file.topics().await;
    let items = topics.topic::<Item>("rss.items").open().await.unwrap();
    let mut following = items.follow();
    items.append(&item(1)).await.unwrap();
    following.try_next().await.unwrap().unwrap();
    let waiting = tokio::spawn(async move { following.try_next().await });
    topics.close().await.unwrap();
    let ended = waiting.await.unwrap().unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Closed);
    let left: Vec<_> =
        std::fs::read_dir(file.folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(left, ["rss.db"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_writes_is_the_file_of_one_moment() {
    let file = File::new();
    let topics = file.topics().await;
    let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    let writer = items.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let writing = tokio::spawn(async move {
        let mut stopped = stopped;
        let mut number = 0;
        while stopped.try_recv().is_err() {
            // Pairs: a copy with half of one would not be of one moment.
            writer.extend(&[item(number), item(number + 1)]).await.unwrap();
            number += 2;
        }
        number
    });
    let copy = file.folder.path().join("copy.db");
    while items.count().await.unwrap().all < 10 {
        tokio::task::yield_now().await;
    }
    topics.backup(&copy).await.unwrap();
    let again = topics.backup(&copy).await.unwrap_err();
    assert_eq!((again.kind(), again.context("path").is_some()), (ErrorKind::WrongState, true));
    stop.send(()).unwrap();
    let written = writing.await.unwrap();

    let copied = Topics::open(&copy).await.unwrap();
    let restored = copied.topic::<Item>("rss.items").dedup(["url"]).open().await.unwrap();
    let kept = new(&restored).await;
    assert!(
        kept.len() >= 10 && kept.len() % 2 == 0 && kept.len() as u32 <= written,
        "{} of {written}",
        kept.len()
    );
    assert_eq!(restored.append_if_new(&item(0)).await.unwrap(), AppendedRecord::Duplicate(1));
    assert_eq!(restored.append(&item(1_000_000)).await.unwrap(), kept.len() as i64 + 1);
    let missing = topics.backup(file.folder.path().join("no/such/folder.db")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn topics_in_memory_end_with_their_last_handle() {
    let topics = Topics::open(":memory:").await.unwrap();
    let folder = topics.store().path().parent().unwrap().to_owned();
    let items = topics.topic::<Item>("rss.items").open().await.unwrap();
    drop(topics);
    items.append(&item(1)).await.unwrap();
    assert_eq!(new(&items).await.len(), 1);
    assert!(folder.exists());
    drop(items);
    assert!(!folder.exists());
    let other = Topics::open(":memory:").await.unwrap();
    let items = other.topic::<Item>("rss.items").open().await.unwrap();
    assert_eq!(items.count().await.unwrap().all, 0);
    other.close().await.unwrap();
}

#[tokio::test]
async fn a_batch_that_holds_the_lock_too_long_is_parted() {
    let folder = tempfile::tempdir().unwrap();
    let hasty = SqliteStore::options().transaction_timeout(Duration::from_millis(4));
    let topics = Topics::of(hasty.open(folder.path().join("hasty.db")).await.unwrap());
    let (from, to) =
        (topics.untyped("from").open().await.unwrap(), topics.untyped("to").open().await.unwrap());
    let records: Vec<serde_json::Value> = (0..200).map(|n| serde_json::json!({ "n": n })).collect();
    from.extend(&records).await.unwrap();
    let many = async |record: serde_json::Value| Ok::<_, Error>(vec![record; 5]);
    // Under load a run may end with this error; what it has done stays, and the next one goes on.
    let mut runs = 0;
    while let Err(error) = from.flat_map(many).to(&to).run().await {
        assert_eq!(error.kind(), ErrorKind::TransactionTimeout);
        runs += 1;
        assert!(runs < 1_000, "{error}");
    }
    assert_eq!((to.count().await.unwrap().all, from.count().await.unwrap().handled), (1_000, 200));
}

#[cfg(feature = "sources")]
#[tokio::test]
async fn a_run_has_the_changes_that_were_committed_before_it() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("shop.db");
    let topics = Topics::open(&path).await.unwrap();
    let orders = topics.untyped("orders").open().await.unwrap();
    let shipped = topics.untyped("shipped").open().await.unwrap();
    let shop = messagekit_sqlite::rusqlite::Connection::open(&path).unwrap();
    shop.execute_batch("CREATE TABLE placed (id INTEGER PRIMARY KEY)").unwrap();
    topics.source("placed").add("orders").await.unwrap();
    shop.execute_batch("INSERT INTO placed VALUES (1), (2)").unwrap();
    let id = async |order: serde_json::Value| {
        Ok::<_, messagekit_topics::Error>(json!({ "id": order["row"]["id"] }))
    };
    orders.pipe(id).to(&shipped).run().await.unwrap();
    assert_eq!(shipped.count().await.unwrap().all, 2);
}
