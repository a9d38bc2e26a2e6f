//! A consumer whose database has lost commits, as after a failover or a restore from a backup.

use std::path::Path;
use std::sync::Arc;

use messagekit::adapter::{BoxFuture, NextOffset, RememberedOffsets, Source};
use messagekit::{Consumer, Envelope, Error, Event, HandlerError, Message, Router, Shutdown, Store, headers};
use messagekit_kafka::KafkaSubscriber;
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::transport::{Receiver, texts};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};

use crate::broker::{blocking, committed, kafka, outside, publish, topic, topic_of};
use crate::lost_positions::{delete_before, permanent_error};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "restored.note.taken", key = "pad")]
struct NoteTaken {
    pad: String,
    number: i64,
}

async fn note(tx: &mut SqliteTx, note: Envelope<NoteTaken>) -> Result<(), HandlerError> {
    let number = note.data.number;
    let written = tx.call(move |c| c.execute("INSERT INTO notes (number) VALUES (?1)", [number])).await;
    written.map(drop).map_err(HandlerError::from)
}

fn taken(topic: &Arc<str>, numbers: std::ops::Range<i64>) -> Vec<Message> {
    let message = |number: i64| {
        let text = format!(
            r#"{{"eventId":"n-{number}","eventType":"restored.note.taken","pad":"p","number":{number}}}"#
        );
        Message::new(topic.clone(), text).with_key("p").with_header(headers::ID, format!("n-{number}"))
    };
    numbers.map(message).collect()
}

async fn numbers(store: &SqliteStore) -> Vec<i64> {
    let all = |c: &messagekit_sqlite::Connection<'_>| {
        c.prepare("SELECT number FROM notes ORDER BY rowid")?.query_map([], |row| row.get(0))?.collect()
    };
    store.read(all).await.unwrap()
}

/// Runs a consumer on a file until it has `notes` rows, and stops it.
async fn run_until(file: &Path, topic: &Arc<str>, consumer: &str, notes: i64) {
    let store = SqliteStore::open(file).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute_batch("CREATE TABLE IF NOT EXISTS notes (number INTEGER NOT NULL) STRICT"))
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    let running = Consumer::builder(consumer, store.clone()).from(kafka().topics([topic.clone()]));
    let running = running.router(Router::new().on(note)).build().unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(running.run(shutdown.clone()));
    let expected: Vec<i64> = (0..notes).collect();
    eventually("every note is written once and in order", DEADLINE, async || {
        numbers(&store).await == expected
    })
    .await;
    shutdown.request();
    running.await.unwrap().unwrap();
    store.close().await.unwrap();
}

#[test]
fn what_a_restored_database_has_lost_is_applied_again() {
    block_on(async {
        let (topic, consumer) = (topic_of::<NoteTaken>(1).await, unique("restored"));
        let folder = tempfile::tempdir().unwrap();
        let (file, backup) = (folder.path().join("app.db"), folder.path().join("backup.db"));
        let publisher = kafka().publisher().unwrap();
        let publish = async |numbers| {
            let results = messagekit::adapter::Publisher::publish(&publisher, &taken(&topic, numbers)).await;
            results.into_iter().for_each(|result| result.unwrap());
        };
        publish(0..5).await;
        run_until(&file, &topic, &consumer, 5).await;
        std::fs::copy(&file, &backup).unwrap();
        publish(5..10).await;
        run_until(&file, &topic, &consumer, 10).await;
        assert_eq!(committed(&consumer, &topic, 0).await, Some(10));

        run_until(&backup, &topic, &consumer, 10).await;
        assert_eq!(committed(&consumer, &topic, 0).await, Some(10));
    });
}

/// A database that has stored one position of partition 0, or none.
struct Remembers(Vec<NextOffset>);

impl RememberedOffsets for Remembers {
    fn next_of<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>> {
        Box::pin(async move { Ok(self.0.clone()) })
    }
}

/// Joins with the position at the start of the process, and the position that is stored now.
async fn join_remembering(
    topic: &Arc<str>,
    consumer: &str,
    first: Option<i64>,
    now: Option<i64>,
) -> Receiver<KafkaSubscriber> {
    Receiver::new(bind_remembering(topic, consumer, first, now).await, consumer)
}

async fn bind_remembering(
    topic: &Arc<str>,
    consumer: &str,
    first: Option<i64>,
    now: Option<i64>,
) -> KafkaSubscriber {
    let position = |next| NextOffset { topic: topic.clone(), partition: 0, key_lane: 0, next };
    let mut source = kafka().topics([topic.clone()]);
    source.consult(Arc::new(Remembers(now.map(position).into_iter().collect())));
    let first: Vec<NextOffset> = first.map(position).into_iter().collect();
    source.bind(consumer, &first).await.unwrap()
}

async fn handled(count: usize) -> (Arc<str>, String) {
    let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
    publish(&topic, (0..count).map(|number| format!("m{number}"))).await;
    let mut receiver = join_remembering(&topic, &consumer, None, None).await;
    let taken = receiver.take(count).await;
    receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
    receiver.close().await.unwrap();
    (topic, consumer)
}

#[test]
fn what_other_members_did_since_the_start_is_no_loss() {
    block_on(async {
        let (topic, consumer) = handled(10).await;
        publish(&topic, ["m10".to_owned()]).await;
        let mut receiver = join_remembering(&topic, &consumer, Some(2), Some(10)).await;
        assert_eq!(texts(&receiver.take(1).await), ["m10"]);
    });
}

#[test]
fn database_that_lost_commits_gets_the_records_that_remain() {
    block_on(async {
        let (topic, consumer) = handled(10).await;
        delete_before(&topic, 6).await;
        let mut receiver = join_remembering(&topic, &consumer, Some(2), Some(2)).await;
        assert_eq!(texts(&receiver.take(4).await), ["m6", "m7", "m8", "m9"]);
    });
}

#[test]
fn a_restored_database_reports_records_deleted_before_a_read() {
    block_on(async {
        let (topic, consumer) = handled(10).await;
        publish(&topic, (10..20).map(|number| format!("m{number}"))).await;
        delete_before(&topic, 15).await;
        for _ in 0..2 {
            let subscriber = bind_remembering(&topic, &consumer, Some(2), Some(2)).await;
            let error = permanent_error(subscriber).await;
            assert_eq!((error.context("offset"), error.context("earliest")), (Some("10"), Some("15")));
        }
        assert_eq!(committed(&consumer, &topic, 0).await, Some(10), "nothing was passed over");
    });
}

#[test]
fn an_operator_who_moves_the_group_forward_is_obeyed() {
    block_on(async {
        let (topic, consumer) = handled(10).await;
        let (group, name) = (consumer.clone(), topic.clone());
        blocking(move || {
            let mut position = TopicPartitionList::new();
            position.add_partition_offset(&name, 0, Offset::Offset(8)).unwrap();
            outside(&group).commit(&position, CommitMode::Sync).unwrap();
        })
        .await;
        let mut receiver = join_remembering(&topic, &consumer, Some(3), Some(3)).await;
        assert_eq!(texts(&receiver.take(1).await), ["m8"]);
    });
}
