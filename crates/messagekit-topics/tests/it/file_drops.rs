//! What keeps a topic in a file, and what a drop leaves there.

use std::sync::Arc;

use futures_util::TryStreamExt;
use messagekit::cleanup::{Retention, clean};
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::{SqliteOptions, SqliteStore};
use messagekit_topic_store::{OnSources, TopicDefinitions};
use messagekit_topics::Topics;
use serde_json::json;
use tempfile::TempDir;

use crate::home::rows;

async fn topics(folder: &TempDir, options: SqliteOptions) -> Topics<SqliteStore> {
    let patient = std::time::Duration::from_secs(60);
    Topics::of(options.transaction_timeout(patient).open(folder.path().join("topics.db")).await.unwrap())
}

async fn sql(topics: &Topics<SqliteStore>, sql: &'static str) {
    let mut tx = topics.store().begin().await.unwrap();
    tx.call(move |c| c.execute(sql, [])).await.unwrap();
    topics.store().commit(tx).await.unwrap();
}

async fn texts(topics: &Topics<SqliteStore>, select: &'static str) -> Vec<String> {
    let mut tx = topics.store().begin().await.unwrap();
    let read = move |c: &messagekit_sqlite::Connection<'_>| {
        c.query_row(select, [], |row| row.get::<_, Option<String>>(0))
    };
    let found = tx.call(read).await.unwrap();
    topics.store().rollback(tx).await.unwrap();
    found.into_iter().flat_map(|text| text.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[tokio::test]
async fn a_topic_with_unpublished_events_is_not_dropped() {
    let folder = TempDir::new().unwrap();
    let topics = topics(&folder, SqliteStore::options().relayed_topics(["items"])).await;
    let items = topics.untyped("items").open().await.unwrap();
    items.append(&json!({})).await.unwrap();
    let refused = topics.drop("items").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WrongState);
    assert_eq!(items.count().await.unwrap().all, 1);
    sql(&topics, "DELETE FROM messagekit_outbox_pending").await;
    let delayed = "INSERT INTO messagekit_outbox_delayed (due, topic, headers, payload) VALUES (9e15, 'items', '[]', x'7b7d')";
    sql(&topics, delayed).await;
    assert_eq!(
        topics.drop("items").await.unwrap_err().kind(),
        ErrorKind::WrongState,
        "it has a broker to go to"
    );
    sql(&topics, "DELETE FROM messagekit_outbox_delayed").await;
    topics.drop("items").await.unwrap();
}

#[tokio::test]
async fn delayed_events_of_a_dropped_topic_go_with_it() {
    let folder = TempDir::new().unwrap();
    let topics = topics(&folder, SqliteStore::options()).await;
    topics.untyped("items").open().await.unwrap();
    for topic in ["items", "others"] {
        let delayed = match topic {
            "items" => {
                "INSERT INTO messagekit_outbox_delayed (due, topic, headers, payload) VALUES (9e15, 'items', '[]', x'7b7d')"
            }
            _ => {
                "INSERT INTO messagekit_outbox_delayed (due, topic, headers, payload) VALUES (9e15, 'others', '[]', x'7b7d')"
            }
        };
        sql(&topics, delayed).await;
    }
    topics.drop("items").await.unwrap();
    assert_eq!(
        texts(&topics, "SELECT group_concat(topic, ' ') FROM messagekit_outbox_delayed").await,
        ["others"]
    );
}

#[tokio::test]
async fn a_cleanup_finishes_a_drop_that_was_stopped() {
    let folder = TempDir::new().unwrap();
    let topics = topics(&folder, SqliteStore::options()).await;
    for name in ["first", "second"] {
        let topic = topics.untyped(name).dedup(["n"]).open().await.unwrap();
        topic.extend(&(0..1_500).map(|n| json!({ "n": n })).collect::<Vec<_>>()).await.unwrap();
        let first = topic.iter_new().try_next().await.unwrap().unwrap();
        topic.ack(&first).await.unwrap();
        topics.store().drop_topic(&Arc::from(name), OnSources::Refuse).await.unwrap();
    }
    assert!(rows(&topics).await > 6_000);
    let trial = clean(topics.store(), &Retention::default(), true, std::future::pending()).await.unwrap();
    assert_eq!(trial[0].removed, 0, "a trial deletes nothing");
    clean(topics.store(), &Retention::default(), false, std::future::pending()).await.unwrap();
    assert_eq!(rows(&topics).await, 0);
    // The row that has the greatest number stays, so that no number is given twice.
    let names = "SELECT group_concat(name, ' ') FROM messagekit_topics";
    assert_eq!(texts(&topics, names).await, ["dropped:2:second"]);
    let third = topics.untyped("second").open().await.unwrap();
    third.append(&json!({})).await.unwrap();
    assert_eq!(topics.definition("second").await.unwrap().unwrap().id, 3);
    clean(topics.store(), &Retention::default(), false, std::future::pending()).await.unwrap();
    assert_eq!(texts(&topics, names).await, ["second"]);
    assert_eq!(third.count().await.unwrap().all, 1);
}
