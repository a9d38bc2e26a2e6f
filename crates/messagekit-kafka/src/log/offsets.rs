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
    let mut found = offsets(client, topic, partitions, Offset::Offset(millis(time)), deadline)?;
    let later: Vec<i32> =
        partitions.iter().filter(|partition| !found.contains_key(partition)).copied().collect();
    if !later.is_empty() {
        found.extend(offsets(client, topic, &later, Offset::End, deadline)?);
    }
    match found.len() == partitions.len() {
        true => Ok(found.into_iter().collect()),
        false => Err(unanswered(topic)),
    }
}

/// Returns the first millisecond that is not before a time. Earlier ones than 1970 have a meaning of their own for a broker.
fn millis(time: Timestamp) -> i64 {
    let millis = time.as_millisecond();
    let is_whole = Timestamp::from_millisecond(millis).is_ok_and(|whole| whole >= time);
    (millis + i64::from(!is_whole)).max(0)
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
    Ok(collect(&client.committed_offsets(asked, deadline.left()).map_err(failed)?)
        .map_err(failed)?
        .into_iter()
        .collect())
}

/// Asks the leaders of partitions for an offset: the first, the end, or that of a time in milliseconds. Partitions without one are left out.
fn offsets(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    of: Offset,
    deadline: Deadline,
) -> Result<BTreeMap<i32, i64>, Error> {
    let failed = |error| unavailable("no broker said which offsets a topic has", error).with("topic", topic);
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for partition in partitions {
        asked.add_partition_offset(topic, *partition, of).map_err(failed)?;
    }
    collect(&client.offsets_for_times(asked, deadline.left()).map_err(failed)?).map_err(failed)
}

fn collect(answer: &TopicPartitionList) -> Result<BTreeMap<i32, i64>, KafkaError> {
    let mut found = BTreeMap::new();
    for one in answer.elements() {
        one.error()?;
        if let Offset::Offset(offset) = one.offset() {
            found.insert(one.partition(), offset);
        }
    }
    Ok(found)
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

    #[test]
    fn a_time_between_two_milliseconds_begins_at_the_later_one() {
        for (nanos, expected) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (-1, 0)] {
            assert_eq!(millis(Timestamp::from_nanosecond(nanos).unwrap()), expected, "{nanos}");
        }
        assert_eq!(millis(Timestamp::MIN), 0);
        assert!(millis(Timestamp::MAX) > 0);
    }
}
