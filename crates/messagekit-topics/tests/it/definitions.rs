//! What the topics of a file were made with.

use std::num::NonZeroU32;

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_sqlite::rusqlite::Connection;
use messagekit_topics::Topics;
use serde_json::{Value, json};
use tempfile::TempDir;

#[tokio::test]
async fn a_file_lists_its_topics_with_their_rules() {
    let folder = TempDir::new().unwrap();
    let topics = Topics::open(folder.path().join("rss.db")).await.unwrap();
    assert_eq!(topics.definitions().await.unwrap(), []);

    let schema = json!({"type": "object", "properties": {"url": {"type": "string"}, "id": {"type": "integer"}}, "required": ["url", "id"]});
    let four = NonZeroU32::new(4).unwrap();
    let items = topics.described("rss.items", schema.clone()).dedup(["url", "id"]).key("id").partitions(four);
    items.open().await.unwrap();
    topics.untyped("notes").open().await.unwrap();

    let found = topics.definitions().await.unwrap();
    let names: Vec<&str> = found.iter().map(|topic| &*topic.name).collect();
    assert_eq!(names, ["notes", "rss.items"]);
    let [notes, items] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&notes.schema, &notes.shape, &notes.key, notes.partitions), (&None, &None, &None, 1));
    assert!(notes.dedup.is_empty());
    assert_eq!(items.dedup, ["id", "url"]);
    assert_eq!((items.key.as_deref(), items.partitions, items.version), (Some("id"), 4, 0));
    assert_eq!(serde_json::from_str::<Value>(items.schema.as_ref().unwrap()).unwrap(), schema);
    assert_eq!(topics.definition("rss.items").await.unwrap().as_ref(), Some(items));
}

#[tokio::test]
async fn looking_for_a_topic_makes_none() {
    let folder = TempDir::new().unwrap();
    let topics = Topics::open(folder.path().join("rss.db")).await.unwrap();
    assert_eq!(topics.definition("rss.items").await.unwrap(), None);
    assert_eq!(topics.definitions().await.unwrap(), []);
}

#[tokio::test]
async fn a_record_is_one_json_object() {
    let folder = TempDir::new().unwrap();
    let topics = Topics::open(folder.path().join("rss.db")).await.unwrap();
    let notes = topics.untyped("notes").open().await.unwrap();
    notes.append(&json!({"text": "one"})).await.unwrap();
    let record = notes.iter_new().try_next().await.unwrap().unwrap();
    let written = serde_json::to_value(&record).unwrap();
    assert_eq!(
        written,
        json!({
            "id": 1, "topic": "notes", "partition": 0, "offset": 0, "created_at": record.created_at.to_string(),
            "handled_at": null, "status": "new", "payload_hash": record.payload_hash, "dedup_hash": null,
            "data": {"text": "one"},
        })
    );
    notes.ack(&record).await.unwrap();
    let definition = topics.definition("notes").await.unwrap().unwrap();
    let status =
        async |consumer| serde_json::to_value(topics.status(&definition, consumer).await.unwrap()).unwrap();
    let seen = |consumer: &str, new: u64, handled: u64| {
        json!({
            "topic": "notes", "partitions": 1, "dedup": [], "key": null, "version": 0, "retention": null,
            "consumer": consumer,
            "all": 1, "new": new, "handled": handled, "dead": 0, "expired": 0,
        })
    };
    assert_eq!(status(None).await, seen("default", 0, 1));
    assert_eq!(status(Some("summaries")).await, seen("summaries", 1, 0));
}

#[tokio::test]
async fn a_topic_that_exists_is_opened_without_the_write_lock() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("rss.db");
    let topics = Topics::open(&path).await.unwrap();
    topics.untyped("notes").open().await.unwrap().append(&json!({"text": "one"})).await.unwrap();
    let lock = Connection::open(&path).unwrap();
    lock.execute_batch("BEGIN IMMEDIATE").unwrap();
    let notes = Topics::open(&path).await.unwrap().untyped("notes").open().await.unwrap();
    assert_eq!(notes.count().await.unwrap().new, 1);
}

#[tokio::test]
async fn a_topic_of_another_file_has_no_status() {
    let folder = TempDir::new().unwrap();
    let topics = Topics::open(folder.path().join("rss.db")).await.unwrap();
    topics.untyped("notes").open().await.unwrap();
    let mut definition = topics.definition("notes").await.unwrap().unwrap();
    definition.name = "rss.items".into();
    let error = topics.status(&definition, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(messagekit::Error::from(error.clone()).to_string(), error.to_string());
}
