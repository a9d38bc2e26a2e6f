//! What partitions have first from an offset on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

/// A partition of a topic.
pub(crate) type Place = (Arc<str>, i32);

/// What is first from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// A record, and when it was written, in milliseconds since 1970.
    Record(Option<i64>),
    /// The end of the partition: only markers of transactions and records of aborted ones lie before it.
    End,
}

const POLL: Duration = Duration::from_millis(100);

/// Reads what each partition has first from an offset on, all concurrently. Partitions whose leader does not answer in
/// time, or that no longer have the offset, are left out.
///
/// The client announces the ends of partitions (`enable.partition.eof`) and reads nothing else meanwhile.
///
/// # Errors
/// Fails when the client cannot be used. Blocks for at most `patience`.
pub(crate) fn first_records(
    client: &Arc<BaseConsumer>,
    offsets: &[(Place, i64)],
    patience: Duration,
) -> KafkaResult<BTreeMap<Place, First>> {
    let mut assigned = TopicPartitionList::with_capacity(offsets.len());
    let mut open = Vec::with_capacity(offsets.len());
    for ((topic, partition), offset) in offsets {
        assigned.add_partition_offset(topic, *partition, Offset::Offset(*offset))?;
        // One queue for each partition: the event of an end does not name its topic.
        let Some(mut queue) = client.split_partition_queue(topic, *partition) else { continue };
        let waiting = thread::current();
        queue.set_nonempty_callback(move || waiting.unpark());
        open.push(((Arc::clone(topic), *partition), queue));
    }
    client.assign(&assigned)?;
    let mut found = BTreeMap::new();
    let end = Instant::now() + patience;
    while !open.is_empty() && Instant::now() < end {
        while client.poll(Duration::ZERO).is_some() {}
        let before = open.len();
        open.retain(|(place, queue)| match first(queue) {
            Some(first) => {
                found.insert(place.clone(), first);
                false
            }
            None => true,
        });
        if open.len() == before {
            thread::park_timeout(POLL);
        }
    }
    client.unassign()?;
    Ok(found)
}

/// Takes the next event of a partition; `None` if it says nothing about what is first.
fn first(queue: &PartitionQueue<DefaultConsumerContext>) -> Option<First> {
    match queue.poll(Duration::ZERO)? {
        Ok(record) => Some(First::Record(record.timestamp().to_millis())),
        Err(KafkaError::PartitionEOF(_)) => Some(First::End),
        Err(_) => None,
    }
}
