//! Questions about the offsets of a topic. They block.

use std::collections::BTreeMap;

use jiff::Timestamp;
use messagekit::log::Bounds;
use messagekit::{Error, ErrorKind};
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::{Offset, TopicPartitionList};

use super::questions::{Client, Deadline};
use crate::error::unavailable;
use crate::offsets::found_in;
use crate::partition_queues::TopicPartition;

/// Returns the partitions of a topic, in their order. It creates no topic.
///
/// # Errors
/// [`ErrorKind::InvalidConfiguration`] for what cannot be a name; [`ErrorKind::NotFound`] if the topic does not exist; transient if no
/// broker answers.
pub(super) fn partitions(client: &Client, topic: &str, deadline: Deadline) -> Result<Vec<i32>, Error> {
    check_name(topic)?;
    let failed =
        |error| unavailable("no broker said which partitions a topic has", error).with("topic", topic);
    let metadata = client.fetch_metadata(Some(topic), deadline.left()).map_err(failed)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let code = found.and_then(|found| found.error()).map(Code::from);
    let mut partitions: Vec<i32> =
        found.iter().flat_map(|found| found.partitions()).map(|found| found.id()).collect();
    partitions.sort_unstable();
    match code {
        Some(Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::InvalidTopic) => Err(no_topic(topic)),
        Some(Code::TopicAuthorizationFailed) => {
            let text = "kafka does not let this client read the topic: give it the right to";
            Err(Error::new(ErrorKind::Other, text).with("topic", topic))
        }
        Some(code) => Err(failed(KafkaError::MetadataFetch(code))),
        None if partitions.is_empty() => Err(no_topic(topic)),
        None => Ok(partitions),
    }
}

/// Refuses names that librdkafka does not take.
fn check_name(topic: &str) -> Result<(), Error> {
    const LONGEST: usize = 249;
    if topic.is_empty() || topic.len() > LONGEST || topic.contains('\0') {
        let text = "a topic of kafka has a name of 1 to 249 characters";
        return Err(Error::new(ErrorKind::InvalidConfiguration, text).with("length", topic.len()));
    }
    Ok(())
}

fn no_topic(topic: &str) -> Error {
    Error::new(ErrorKind::NotFound, "no such topic").with("topic", topic)
}

/// Returns the bounds of partitions. The end is that of the committed records: transactions that are open lie behind it.
///
/// The leaders are asked in parallel, each with one request for the first offsets and one for the ends.
///
/// # Errors
/// Transient if not all leaders answer.
pub(super) fn bounds(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    deadline: Deadline,
) -> Result<Vec<Bounds>, Error> {
    // In this order an end is never before its first offset.
    let earliest = offsets(client, topic, partitions, Offset::Beginning, deadline)?;
    let ends = offsets(client, topic, partitions, Offset::End, deadline)?;
    let bounds = partitions.iter().map(|partition| {
        let (earliest, end) =
            earliest.get(partition).zip(ends.get(partition)).ok_or_else(|| unanswered(topic))?;
        Ok(Bounds { partition: *partition, earliest: *earliest, end: *end })
    });
    bounds.collect()
}

/// Returns the first offset of a time or later in each partition, or its end.
///
/// # Errors
/// Transient if not all leaders answer.
pub(super) fn offsets_at(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    time: Timestamp,
    deadline: Deadline,
) -> Result<Vec<(i32, i64)>, Error> {
    let asked = partitions.iter().map(|partition| (topic, *partition));
    let found = crate::offsets::offsets_at(client, asked, time, || deadline.left());
    let found = numbered(found.map_err(|error| unknown(topic, error))?);
    match found.len() == partitions.len() {
        true => Ok(found.into_iter().collect()),
        false => Err(unanswered(topic)),
    }
}

/// Returns the offsets that a group has committed, of the partitions that have one.
///
/// # Errors
/// Transient if the coordinator of the group does not answer.
pub(super) fn committed(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    deadline: Deadline,
) -> Result<Vec<(i32, i64)>, Error> {
    let failed =
        |error| unavailable("no broker said what a consumer has committed", error).with("topic", topic);
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition(topic, *partition);
    }
    let answer = client.committed_offsets(asked, deadline.left()).map_err(failed)?;
    Ok(numbered(found_in(&answer).map_err(failed)?).into_iter().collect())
}

/// Returns an offset of each partition that has one.
fn offsets(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    of: Offset,
    deadline: Deadline,
) -> Result<BTreeMap<i32, i64>, Error> {
    let asked = partitions.iter().map(|partition| (topic, *partition));
    let found = crate::offsets::offsets(client, asked, of, deadline.left());
    found.map(numbered).map_err(|error| unknown(topic, error))
}

fn numbered(found: BTreeMap<TopicPartition, i64>) -> BTreeMap<i32, i64> {
    found.into_iter().map(|((_, partition), offset)| (partition, offset)).collect()
}

fn unknown(topic: &str, error: KafkaError) -> Error {
    unavailable("no broker said which offsets a topic has", error).with("topic", topic)
}

fn unanswered(topic: &str) -> Error {
    let text = "kafka did not say the offsets of each partition";
    Error::new(ErrorKind::Unavailable, text).with("topic", topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_librdkafka_cannot_take_is_no_name() {
        for name in ["", "a\0b", &"a".repeat(250)] {
            assert_eq!(check_name(name).unwrap_err().kind(), ErrorKind::InvalidConfiguration);
        }
        assert!(check_name(&"a".repeat(249)).is_ok());
    }
}
