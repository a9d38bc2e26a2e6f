//! A topic as seen by its owner and by a reader.

use std::time::{Duration, Instant};

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::{make_topic, services};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// The time limit of one answer of the broker.
const ANSWER: Duration = Duration::from_secs(30);

pub(crate) struct Topic {
    pub(crate) name: String,
    partitions: i32,
}

/// A record of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    fn of(record: &BorrowedMessage<'_>) -> Self {
        let headers = record.headers().map_or_else(Vec::new, |headers| {
            let pair = |header: rdkafka::message::Header<'_, &[u8]>| {
                (header.key.to_owned(), header.value.map(<[u8]>::to_vec))
            };
            headers.iter().map(pair).collect()
        });
        let payload = record.payload().unwrap_or_default().to_vec();
        Self { key: record.key().map(<[u8]>::to_vec), payload, headers }
    }

    pub(crate) fn id(&self) -> String {
        let (_, value) = self.headers.iter().find(|(name, _)| name == "id").unwrap();
        String::from_utf8(value.clone().unwrap()).unwrap()
    }
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", services::kafka()).set("log_level", "2");
    config
}

fn admin() -> AdminClient<DefaultClientContext> {
    client().create().unwrap()
}

impl Topic {
    pub(crate) async fn make(name: &str, partitions: i32, limit: usize) -> Self {
        let made = Self { name: name.to_owned(), partitions };
        make_topic(name, partitions, &[]).await;
        made.takes_up_to(limit).await;
        made
    }

    /// Sets the largest record size, which the broker measures after compression.
    pub(crate) async fn takes_up_to(&self, limit: usize) {
        let limit = limit.to_string();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.name)).set("max.message.bytes", &limit);
        let options = AdminOptions::new().operation_timeout(Some(ANSWER));
        eventually("the topic is changed", DEADLINE, async || {
            matches!(admin().alter_configs([&change], &options).await.as_deref(), Ok([Ok(_)]))
        })
        .await;
        // The controller answers before the broker that takes the records knows of the change.
        let topic = ResourceSpecifier::Topic(&self.name);
        eventually("the broker knows of the change", DEADLINE, async || {
            let answer = admin().describe_configs([&topic], &options).await.unwrap_or_default();
            let stated = answer.first().and_then(|one| one.as_ref().ok()?.get("max.message.bytes"));
            stated.is_some_and(|entry| entry.value.as_ref() == Some(&limit))
        })
        .await;
    }

    /// Returns the offset behind the last record by partition, or `None` when the broker does not answer.
    fn ends(&self) -> Option<Vec<i64>> {
        let consumer: BaseConsumer = client().create().unwrap();
        let end =
            |partition| consumer.fetch_watermarks(&self.name, partition, ANSWER).map(|(_, end)| end).ok();
        (0..self.partitions).map(end).collect()
    }

    /// Opens the topic at its beginning.
    fn reader(&self) -> BaseConsumer {
        // The consumer never joins the group: partitions are assigned by hand and nothing is committed.
        let consumer: BaseConsumer =
            client().set("group.id", "reads-all").set("enable.auto.commit", "false").create().unwrap();
        let mut partitions = TopicPartitionList::new();
        for partition in 0..self.partitions {
            partitions.add_partition_offset(&self.name, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&partitions).unwrap();
        consumer
    }

    /// Reads the topic from its beginning to its current end. Records of one partition are in their order.
    pub(crate) fn read(&self) -> Vec<Record> {
        let until = Instant::now() + DEADLINE;
        let ends = loop {
            match self.ends() {
                Some(ends) => break ends,
                None => assert!(Instant::now() < until, "the broker does not answer"),
            }
        };
        let expected = ends.iter().sum::<i64>() as usize;
        let consumer = self.reader();
        let mut records = Vec::with_capacity(expected);
        let mut last = Instant::now();
        while records.len() < expected {
            assert!(last.elapsed() < DEADLINE, "{} of {expected} records could be read", records.len());
            // Client errors about a broker that has just restarted are temporary.
            if let Some(Ok(record)) = consumer.poll(Duration::from_millis(100)) {
                records.push(Record::of(&record));
                last = Instant::now();
            }
        }
        records
    }

    /// Passes each record to `arrives` until that returns false.
    pub(crate) fn follow(&self, mut arrives: impl FnMut(Option<Record>) -> bool) {
        let consumer = self.reader();
        loop {
            let record = consumer.poll(Duration::from_millis(10));
            if !arrives(record.and_then(Result::ok).map(|record| Record::of(&record))) {
                return;
            }
        }
    }
}
