//! What Kafka knows of the offsets of partitions. These questions block, for the background.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::place::GroupOffset;
use super::proof;
use crate::context::Context;

/// How long the broker may take for one answer.
const ASK: Duration = Duration::from_secs(3);

/// A partition by its name.
pub(super) type Partition = (Arc<str>, i32);

/// Asks for the committed offsets of partitions; `None` where the group has none.
///
/// # Errors
/// As librdkafka says, when the coordinator does not answer for each of them.
pub(super) fn committed(
    consumer: &BaseConsumer<Context>,
    partitions: TopicPartitionList,
) -> KafkaResult<Vec<(Partition, Option<GroupOffset>)>> {
    let found = consumer.committed_offsets(partitions, ASK)?;
    let elements = found.elements();
    let of = |one: &rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        one.error()?;
        let group = |offset| GroupOffset { offset, proof: proof::read(one.metadata()) };
        Ok(((one.topic().into(), one.partition()), offset(one.offset()).map(group)))
    };
    elements.iter().map(of).collect()
}

/// The earliest offsets that leaders know.
#[derive(Default)]
pub(super) struct Earliest {
    pub(super) found: Vec<(Partition, i64)>,
    /// Why partitions are missing, if some are.
    pub(super) error: Option<KafkaError>,
}

/// Asks for the earliest offsets of partitions, with one request per leader. Partitions without a leader are left out: they must
/// not hold the others up.
pub(super) fn earliest(consumer: &BaseConsumer<Context>, partitions: &[Partition]) -> Earliest {
    let led = match with_leader(consumer, partitions) {
        Ok(led) => led,
        Err(error) => return Earliest { found: Vec::new(), error: Some(error) },
    };
    let mut earliest = Earliest { found: Vec::new(), error: None };
    if led.len() < partitions.len() {
        earliest.error = Some(KafkaError::MetadataFetch(RDKafkaErrorCode::LeaderNotAvailable));
    }
    ask_leaders(consumer, &led, &mut earliest);
    earliest
}

/// Returns those of the partitions that have a leader.
fn with_leader(consumer: &BaseConsumer<Context>, partitions: &[Partition]) -> KafkaResult<Vec<Partition>> {
    let mut led = Vec::with_capacity(partitions.len());
    let topics: BTreeSet<&Arc<str>> = partitions.iter().map(|(topic, _)| topic).collect();
    for topic in topics {
        let metadata = consumer.fetch_metadata(Some(topic), ASK)?;
        let with_leader: BTreeSet<i32> = metadata
            .topics()
            .iter()
            .flat_map(|found| found.partitions())
            .filter(|found| found.leader() >= 0)
            .map(rdkafka::metadata::MetadataPartition::id)
            .collect();
        let of_topic =
            partitions.iter().filter(|(name, number)| name == topic && with_leader.contains(number));
        led.extend(of_topic.cloned());
    }
    Ok(led)
}

/// Librdkafka answers for all partitions or for none: after an error each half is asked for itself.
fn ask_leaders(consumer: &BaseConsumer<Context>, partitions: &[Partition], earliest: &mut Earliest) {
    if partitions.is_empty() || consumer.context().is_closing() {
        return;
    }
    match ask_together(consumer, partitions) {
        Ok(found) => earliest.found.extend(found),
        Err(error) if partitions.len() == 1 => earliest.error = Some(error),
        Err(_) => {
            let (left, right) = partitions.split_at(partitions.len() / 2);
            ask_leaders(consumer, left, earliest);
            ask_leaders(consumer, right, earliest);
        }
    }
}

fn ask_together(
    consumer: &BaseConsumer<Context>,
    partitions: &[Partition],
) -> KafkaResult<Vec<(Partition, i64)>> {
    let mut asked = TopicPartitionList::with_capacity(partitions.len());
    for (topic, partition) in partitions {
        asked.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    let answer = consumer.offsets_for_times(asked, ASK)?;
    let mut found = Vec::with_capacity(partitions.len());
    for one in answer.elements() {
        one.error()?;
        found.extend(offset(one.offset()).map(|offset| ((one.topic().into(), one.partition()), offset)));
    }
    Ok(found)
}

fn offset(found: Offset) -> Option<i64> {
    match found {
        Offset::Offset(offset) => Some(offset),
        _ => None,
    }
}
