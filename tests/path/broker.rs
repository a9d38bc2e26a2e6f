//! The broker seen from outside: topics created for a test, and read completely, byte by byte, by a client without a group.

use std::time::{Duration, Instant};

use messagekit_testkit::DEADLINE;
use messagekit_tests::{make_topic, services};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::groups::{GroupInfo, GroupMemberInfo};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// The time limit of one answer of the broker.
const ANSWER: Duration = Duration::from_secs(60);

/// A record of the topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
    /// A header may have no value.
    pub(crate) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Raw {
    /// Returns the value of a header as text, or `None` when it is absent or has no value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known == name)?;
        value.as_deref().map(|value| std::str::from_utf8(value).expect("a header of text"))
    }

    /// Returns its id from the headers.
    pub(crate) fn id(&self) -> &str {
        self.header("id").expect("a record of the outbox has an id")
    }
}

/// Returns the settings of a client of this broker.
pub(crate) fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", services::kafka()).set("log_level", "2");
    config
}

/// Checks that the broker answers a client.
pub(crate) fn answers() -> Result<(), String> {
    let consumer: BaseConsumer = client().create().expect("a client can be made");
    let answer = consumer.fetch_metadata(None, Duration::from_secs(10));
    answer.map(drop).map_err(|error| format!("kafka does not answer: {error}"))
}

/// Creates missing topics.
pub(crate) async fn make(topics: &[(&str, i32)]) {
    for (name, partitions) in topics {
        make_topic(name, *partitions, &[]).await;
    }
}

/// Returns the committed offsets of a group in a topic, by partition. Returns `None` when the broker does not answer, as during a
/// change of the coordinator.
pub(crate) fn committed(group: &str, (topic, partitions): (&str, i32)) -> Option<Vec<Option<i64>>> {
    let consumer: BaseConsumer = client().set("group.id", group).create().ok()?;
    let mut asked = TopicPartitionList::new();
    asked.add_partition_range(topic, 0, partitions - 1);
    let places = consumer.committed_offsets(asked, ANSWER).ok()?;
    let next = |offset| if let Offset::Offset(next) = offset { Some(next) } else { None };
    Some(places.elements().iter().map(|place| next(place.offset())).collect())
}

/// Returns the number of records in a topic, and the offset behind the last one by partition. Returns `None` when the
/// broker does not answer.
pub(crate) fn ends(topic: &str) -> Option<Vec<i64>> {
    let consumer: BaseConsumer = client().create().expect("a client can be made");
    let metadata = consumer.fetch_metadata(Some(topic), ANSWER).ok()?;
    let partitions = metadata.topics()[0].partitions().len();
    let end = |partition| consumer.fetch_watermarks(topic, partition, ANSWER).map(|(_, end)| end).ok();
    (0..partitions as i32).map(end).collect()
}

/// Reads a topic from its beginning to its current end.
pub(crate) fn read(topic: &str) -> Vec<Raw> {
    let ends = ends(topic).expect("the broker answers");
    // The consumer never joins the group: partitions are assigned by hand and nothing is committed.
    let consumer: BaseConsumer = client()
        .set("group.id", "reads-all")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a client can be made");
    let mut partitions = TopicPartitionList::new();
    for partition in 0..ends.len() as i32 {
        partitions.add_partition_offset(topic, partition, Offset::Beginning).expect("an offset");
    }
    consumer.assign(&partitions).expect("partitions can be taken");
    let expected = ends.iter().sum::<i64>() as usize;
    let mut records = Vec::with_capacity(expected);
    let mut deadline = Instant::now() + DEADLINE;
    while records.len() < expected {
        assert!(
            Instant::now() < deadline,
            "{} of {expected} records of {topic} could be read",
            records.len()
        );
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(record)) => {
                // Each record has its own deadline, however many there are.
                deadline = Instant::now() + DEADLINE;
                records.push(Raw {
                    partition: record.partition(),
                    offset: record.offset(),
                    key: record.key().map(<[u8]>::to_vec),
                    payload: record.payload().unwrap_or_default().to_vec(),
                    headers: record.headers().map_or_else(Vec::new, |headers| {
                        headers
                            .iter()
                            .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                            .collect()
                    }),
                });
            }
            Some(Err(error)) => panic!("{topic} cannot be read: {error}"),
            None => {}
        }
    }
    records
}

/// Returns the ids of a group's members that hold partitions. The id of a static member begins with its name.
pub(crate) fn working_members(group: &str) -> Vec<String> {
    let consumer: BaseConsumer = client().create().expect("a client can be made");
    let Ok(list) = consumer.fetch_group_list(Some(group), ANSWER) else { return Vec::new() };
    // An assignment without any partition is 2 bytes of version, 4 of an empty list and 4 of no user data.
    let works = |member: &&GroupMemberInfo| member.assignment().is_some_and(|bytes| bytes.len() > 10);
    let ids = |group: &GroupInfo| {
        group.members().iter().filter(works).map(|member| member.id().to_owned()).collect::<Vec<_>>()
    };
    list.groups().iter().flat_map(ids).collect()
}
