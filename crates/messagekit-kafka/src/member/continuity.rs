//! Whether a partition still is the log that was read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::proof::Fingerprint;

/// How long the brokers may take to show the records of all partitions.
const ASK: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(100);

/// A record that was handled.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) print: Fingerprint,
}

/// Reads records that were handled once more, and returns one that is not there although its partition has earlier ones, or
/// in whose place another one stands. Those that were deleted or compacted away say nothing.
///
/// # Errors
/// When the brokers do not show them in time. Blocks.
pub(super) fn broken(
    reader: &BaseConsumer<DefaultConsumerContext>,
    handled: &[Handled],
) -> KafkaResult<Option<Handled>> {
    let end = Instant::now() + ASK;
    let topics: BTreeSet<&Arc<str>> = handled.iter().map(|record| &record.topic).collect();
    for topic in topics {
        // One topic at a time: the end of a partition is told without its topic.
        let open = handled.iter().filter(|record| record.topic == *topic);
        if let Some(broken) = broken_of(reader, open.map(|record| (record.partition, record)).collect(), end)?
        {
            return Ok(Some(broken.clone()));
        }
    }
    Ok(None)
}

fn broken_of<'a>(
    reader: &BaseConsumer<DefaultConsumerContext>,
    mut open: BTreeMap<i32, &'a Handled>,
    end: Instant,
) -> KafkaResult<Option<&'a Handled>> {
    let mut places = TopicPartitionList::with_capacity(open.len());
    for record in open.values() {
        places.add_partition_offset(&record.topic, record.partition, Offset::Offset(record.offset))?;
    }
    reader.assign(&places)?;
    while !open.is_empty() {
        if Instant::now() >= end {
            return Err(KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut));
        }
        match reader.poll(POLL) {
            Some(Ok(found)) => {
                let Some(record) = open.remove(&found.partition()) else { continue };
                // An earlier one comes where the partition ends before the offset.
                let is_there = found.offset() > record.offset
                    || found.offset() == record.offset && Fingerprint::of(&found) == record.print;
                if !is_there {
                    return Ok(Some(record));
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                let Some(record) = open.remove(&partition) else { continue };
                let (_, end) = reader.fetch_watermarks(&record.topic, partition, ASK)?;
                if end <= record.offset {
                    return Ok(Some(record));
                }
            }
            // What passes by itself, or takes too long.
            Some(Err(_)) | None => {}
        }
    }
    Ok(None)
}
