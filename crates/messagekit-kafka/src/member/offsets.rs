//! Queries for the offsets of partitions. They block and run in the background.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::metadata::MetadataPartition;
use rdkafka::{Offset, TopicPartitionList};

use super::proof;
use super::start_position::GroupOffset;
use crate::context::Context;
use crate::offsets;

/// The time limit of one answer.
const ASK: Duration = Duration::from_secs(3);

/// A partition: topic and number.
pub(super) type Partition = (Arc<str>, i32);

/// Returns the committed offsets of partitions; `None` if the group has none.
///
/// # Errors
/// The error of librdkafka if the coordinator does not answer for each partition.
pub(super) fn committed(
    consumer: &BaseConsumer<Context>,
    partitions: TopicPartitionList,
) -> KafkaResult<Vec<(Partition, Option<GroupOffset>)>> {
    let found = consumer.committed_offsets(partitions, ASK)?;
    let elements = found.elements();
    let of = |one: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        one.error()?;
        let group = |offset| GroupOffset { offset, proof: proof::read(offset, one.metadata()) };
        Ok(((one.topic().into(), one.partition()), offset(one.offset()).map(group)))
    };
    elements.iter().map(of).collect()
}

/// Returns the partitions that exist and of which the brokers say so.
///
/// # Errors
/// The error of librdkafka if no broker answers.
pub(super) fn existing(
    consumer: &BaseConsumer<Context>,
    partitions: &BTreeSet<Partition>,
    is_so: impl Fn(&MetadataPartition) -> bool,
) -> KafkaResult<BTreeSet<Partition>> {
    let mut existing = BTreeSet::new();
    let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|(topic, _)| topic).collect();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ASK)?;
        let found = metadata.topics().iter().flat_map(|found| found.partitions());
        let found = found.filter(|found| is_so(found)).map(|found| (Arc::clone(topic), found.id()));
        existing.extend(found.filter(|partition| partitions.contains(partition)));
    }
    Ok(existing)
}

/// Queries the earliest offsets of partitions that have a leader, or those of the first records of a time or later, with one request per
/// leader, and reports each as soon as it is known. Returns why some are missing, if any.
///
/// Librdkafka answers for all partitions or for none: after an error each half is queried separately.
pub(super) fn first(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
    since: Option<Timestamp>,
    tell: &mut impl FnMut(Partition, i64),
) -> Option<KafkaError> {
    if partitions.is_empty() || consumer.context().is_closing() {
        return None;
    }
    match ask_together(consumer, partitions, since) {
        Ok(found) => {
            found.into_iter().for_each(|(partition, offset)| tell(partition, offset));
            None
        }
        Err(error) if partitions.len() == 1 => Some(error),
        Err(_) => {
            let (left, right) = partitions.split_at(partitions.len() / 2);
            let error = first(consumer, left, since, tell);
            first(consumer, right, since, tell).or(error)
        }
    }
}

fn ask_together(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
    since: Option<Timestamp>,
) -> KafkaResult<BTreeMap<Partition, i64>> {
    let asked = partitions.iter().map(|(topic, partition)| (&**topic, *partition));
    match since {
        None => offsets::offsets(consumer, asked, Offset::Beginning, ASK),
        Some(time) => offsets::offsets_at(consumer, asked, time, || ASK),
    }
}

fn offset(found: Offset) -> Option<i64> {
    match found {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
