//! The offsets of partitions, as their leaders say them. The questions block, with one request to each leader.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};

use crate::partition_queues::TopicPartition;

/// Returns an offset of each partition: the first, the end, or that of a time in milliseconds. Partitions without one are left out.
///
/// # Errors
/// The error of librdkafka if one leader does not answer within `limit`: it answers for all partitions or for none.
pub(crate) fn offsets<'a, C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: impl ExactSizeIterator<Item = (&'a str, i32)>,
    of: Offset,
    limit: Duration,
) -> KafkaResult<BTreeMap<TopicPartition, i64>> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, partition, of)?;
    }
    found_in(&client.offsets_for_times(asked, limit)?)
}

/// Returns the first offset of a time or later in each partition, or its end. Each of the two questions may take `limit()`.
///
/// # Errors
/// Those of [`offsets`].
pub(crate) fn offsets_at<'a, C: ConsumerContext>(
    client: &BaseConsumer<C>,
    partitions: impl ExactSizeIterator<Item = (&'a str, i32)> + Clone,
    time: Timestamp,
    limit: impl Fn() -> Duration,
) -> KafkaResult<BTreeMap<TopicPartition, i64>> {
    // The ends first: a record of that time that is written between the questions is found by the second one.
    let mut found = offsets(client, partitions.clone(), Offset::End, limit())?;
    found.extend(offsets(client, partitions, Offset::Offset(millis(time)), limit())?);
    Ok(found)
}

/// Returns the offsets of an answer, of the partitions that have one.
///
/// # Errors
/// The first error of a partition.
pub(crate) fn found_in(answer: &TopicPartitionList) -> KafkaResult<BTreeMap<TopicPartition, i64>> {
    let mut found = BTreeMap::new();
    for one in answer.elements() {
        one.error()?;
        if let Offset::Offset(offset) = one.offset() {
            found.insert((one.topic().into(), one.partition()), offset);
        }
    }
    Ok(found)
}

/// Returns the first millisecond that is not before a time. Earlier ones than 1970 have a meaning of their own for a broker.
fn millis(time: Timestamp) -> i64 {
    let millis = time.as_millisecond();
    let is_whole = Timestamp::from_millisecond(millis).is_ok_and(|whole| whole >= time);
    (millis + i64::from(!is_whole)).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_between_two_milliseconds_begins_at_the_later_one() {
        for (nanos, expected) in [(0, 0), (1, 1), (999_999, 1), (1_000_000, 1), (1_000_001, 2), (-1, 0)] {
            assert_eq!(millis(Timestamp::from_nanosecond(nanos).unwrap()), expected, "{nanos}");
        }
        assert_eq!(millis(Timestamp::MIN), 0);
        assert!(millis(Timestamp::MAX) > 0);
    }
}
