//! The fixture that a database with a log of its own supplies to run the log suite.

use std::future::Future;
use std::sync::Arc;

use messagekit::adapter::OutboxRows;
use messagekit::log::{Log, LogReader, Page, PartitionStart};
use messagekit::operations::{DatabaseStatus, FailedMessages};
use messagekit::{Message, headers};
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, RecordClaims};

use crate::store::{StoreFixture, until_through};
use crate::unique;

/// A database with a log, whose topics have one partition each.
pub trait LogFixture:
    StoreFixture<Store: RecordClaims + OutboxRows + FailedMessages + DatabaseStatus>
{
    /// Returns the log of the database.
    fn log(&self) -> Arc<dyn Log>;

    /// Makes a topic of one partition. By default the first append makes it.
    fn topic(&self) -> impl Future<Output = Arc<str>> + Send {
        async { Arc::from(unique("topic")) }
    }

    /// Opens the database as another process does. That process ends when the last clone of the store is dropped.
    fn another_process(&self) -> impl Future<Output = Self::Store> + Send;

    /// Deletes the records of a topic before an offset, as retention does.
    fn delete_before(&self, topic: &str, offset: i64) -> impl Future<Output = ()> + Send;
}

/// Returns messages with these texts.
pub(super) fn messages(topic: &str, texts: impl IntoIterator<Item = String>) -> Vec<Message> {
    let message = |text: String| {
        Message::new(topic, text)
            .with_key("k")
            .with_header(headers::ID, unique("m"))
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
    };
    texts.into_iter().map(message).collect()
}

/// Appends messages in one transaction.
pub(super) async fn append<S: OutboxRows>(store: &S, messages: &[Message]) {
    until_through(|| async {
        let mut tx = store.begin().await?;
        store.write(&mut tx, messages).await?;
        store.commit(tx).await
    })
    .await;
}

/// Makes a topic with a number of records, and returns its name.
pub(super) async fn topic_of<F: LogFixture>(fixture: &F, records: usize) -> Arc<str> {
    let topic = fixture.topic().await;
    append(&fixture.store(), &messages(&topic, (0..records).map(|number| number.to_string()))).await;
    topic
}

/// Makes a topic with a record for each character, which is its key, and returns its name. A `-` is a record without a key.
pub(super) async fn keyed_topic<F: LogFixture>(fixture: &F, keys: &str) -> Arc<str> {
    let topic = fixture.topic().await;
    let mut records = messages(&topic, keys.chars().map(String::from));
    for (record, key) in records.iter_mut().zip(keys.chars()) {
        record.key = (key != '-').then(|| String::from(key).into());
    }
    append(&fixture.store(), &records).await;
    topic
}

/// Reads pages of a reader up to the end of its partition.
pub(super) async fn pages(reader: &mut Box<dyn LogReader>) -> Vec<Page> {
    let mut pages = Vec::new();
    loop {
        match std::future::poll_fn(|cx| reader.poll_page(100, cx)).await.expect("the log can be read") {
            Page::End { .. } => return pages,
            page => pages.push(page),
        }
    }
}

/// Opens a reader of the only partition of a topic.
pub(super) async fn reader<F: LogFixture>(
    fixture: &F,
    topic: &Arc<str>,
    start: PartitionStart,
) -> Box<dyn LogReader> {
    fixture.log().open(topic, &[(0, start)]).await.expect("the topic can be read")
}

/// Returns the texts of all records of a topic, with their offsets.
pub(super) async fn texts<F: LogFixture>(fixture: &F, topic: &Arc<str>) -> Vec<(i64, String)> {
    let mut reader = reader(fixture, topic, PartitionStart::Earliest).await;
    let mut texts = Vec::new();
    for page in pages(&mut reader).await {
        let Page::Records(records) = page else { continue };
        texts.extend(records.iter().map(|record| {
            let text = String::from_utf8_lossy(&record.message.payload).into_owned();
            (record.position.offset, text)
        }));
    }
    texts
}

/// Claims records, which must be there.
pub(super) async fn claim<S: RecordClaims>(worker: &RecordClaimer<S>, max: u32) -> RecordClaim {
    match until_through(|| worker.claim(max)).await {
        Claimed::Records(claim) => claim,
        other => panic!("records wait to be claimed: {other:?}"),
    }
}

/// Returns the offsets that a claim may have now; none when there are no records.
pub(super) async fn claim_now<S: RecordClaims>(worker: &RecordClaimer<S>, max: u32) -> Vec<i64> {
    match until_through(|| worker.claim(max)).await {
        Claimed::Records(claim) => offsets(&claim),
        _ => Vec::new(),
    }
}

/// Returns the offsets of a claim.
pub(super) fn offsets(claim: &RecordClaim) -> Vec<i64> {
    claim.records.iter().map(|record| record.record.position.offset).collect()
}
