//! Fixtures for the tests of topics, consumers and failed messages.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Delivery, Incoming, Lane, NextOffset, Positions, Publisher, Source, Subscriber};
use messagekit::{Error, Message, Store, headers};
use messagekit_sqlite::{SqliteOptions, SqliteStore, SqliteSubscriber};
use messagekit_topic_store::{TopicDefinition, TopicDefinitions};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(120);

/// A separate file, opened once.
pub(crate) struct Fixture {
    pub(crate) store: SqliteStore,
    pub(crate) folder: TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        Self { store, folder }
    }

    /// Opens the file again, as another process would.
    pub(crate) async fn other_process(&self) -> SqliteStore {
        open(&self.folder).await
    }
}

async fn open(folder: &TempDir) -> SqliteStore {
    patient().open(folder.path().join("app.db")).await.unwrap()
}

/// Options for transactions that a busy machine may stop for a while.
pub(crate) fn patient() -> SqliteOptions {
    SqliteStore::options().transaction_timeout(DEADLINE).busy_timeout(DEADLINE)
}

/// Returns a message with an id and a key.
pub(crate) fn message(topic: &str, id: &str, key: &str) -> Message {
    Message::new(topic, format!("payload of {id}"))
        .with_key(key.to_owned())
        .with_header(headers::ID, id.to_owned())
}

/// Appends messages `prefix-0` … of one key.
pub(crate) async fn append(store: &SqliteStore, topic: &str, prefix: &str, count: usize) {
    let batch: Vec<_> = (0..count).map(|n| message(topic, &format!("{prefix}-{n}"), "k")).collect();
    for result in store.publisher().publish(&batch).await {
        result.unwrap();
    }
}

/// Defines the topic `t` of one partition.
pub(crate) async fn define(store: &SqliteStore) {
    let definition = TopicDefinition {
        id: 0,
        name: topic("t"),
        schema: None,
        shape: None,
        dedup: Vec::new(),
        key: None,
        partitions: 1,
        version: 0,
        retention: None,
        is_published: false,
    };
    assert_eq!(store.define_topic(&definition).await.unwrap(), None);
}

pub(crate) async fn bind(store: &SqliteStore, topics: &[&str], consumer: &str) -> SqliteSubscriber {
    store.topics(topics.iter().copied()).bind(consumer, &[]).await.unwrap()
}

/// Fails a test whose future does not finish in time.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

pub(crate) async fn incoming(subscriber: &mut SqliteSubscriber) -> Option<Result<Incoming, Error>> {
    in_time("a happening", poll_fn(|cx| subscriber.poll_next(cx))).await
}

pub(crate) async fn assigned(subscriber: &mut SqliteSubscriber) -> Lane {
    match incoming(subscriber).await {
        Some(Ok(Incoming::Assigned { lane, .. })) => lane,
        other => panic!("{other:?} instead of an assignment"),
    }
}

pub(crate) async fn lost(subscriber: &mut SqliteSubscriber) -> Lane {
    match incoming(subscriber).await {
        Some(Ok(Incoming::Lost { lane })) => lane,
        other => panic!("{other:?} instead of a loss"),
    }
}

pub(crate) async fn delivery(subscriber: &mut SqliteSubscriber) -> Delivery {
    match incoming(subscriber).await {
        Some(Ok(Incoming::Message(delivery))) => delivery,
        other => panic!("{other:?} instead of a message"),
    }
}

pub(crate) async fn deliveries(subscriber: &mut SqliteSubscriber, count: usize) -> Vec<Delivery> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(delivery(subscriber).await);
    }
    all
}

/// Returns whether no delivery is ready now; later ones may follow.
pub(crate) async fn is_quiet(subscriber: &mut SqliteSubscriber) -> bool {
    poll_fn(|cx| std::task::Poll::Ready(subscriber.poll_next(cx).is_pending())).await
}

pub(crate) async fn close(mut subscriber: SqliteSubscriber) {
    in_time("the close", poll_fn(|cx| subscriber.poll_close(cx))).await.unwrap();
}

pub(crate) fn ids(deliveries: &[Delivery]) -> Vec<String> {
    let id = |delivery: &Delivery| delivery.message.headers.text(headers::ID).unwrap().to_owned();
    deliveries.iter().map(id).collect()
}

/// Returns the position after a delivery.
pub(crate) fn behind(delivery: &Delivery) -> NextOffset {
    let position = delivery.position.clone().unwrap();
    NextOffset {
        topic: position.topic,
        partition: position.partition,
        key_lane: 0,
        next: position.offset + 1,
    }
}

/// Handles deliveries as the consumer loop does: positions last, then the commit.
pub(crate) async fn handle(
    store: &SqliteStore,
    consumer: &str,
    deliveries: &[Delivery],
) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    let positions: Vec<_> = deliveries.iter().map(behind).collect();
    store.advance(&mut tx, consumer, &positions).await?;
    store.commit(tx).await
}

/// Returns one number from the file.
pub(crate) async fn number(store: &SqliteStore, sql: &'static str) -> i64 {
    store.read(move |c| c.query_row(sql, [], |row| row.get(0))).await.unwrap()
}

/// Runs a statement that the adapter never runs.
pub(crate) async fn execute(store: &SqliteStore, sql: &'static str) {
    let mut tx = store.begin().await.unwrap();
    tx.call(move |c| c.execute_batch(sql)).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// Waits until a condition holds.
pub(crate) async fn eventually(what: &str, holds: impl AsyncFnMut() -> bool) {
    messagekit_testkit::eventually(what, DEADLINE, holds).await;
}

pub(crate) fn topic(name: &str) -> Arc<str> {
    Arc::from(name)
}
