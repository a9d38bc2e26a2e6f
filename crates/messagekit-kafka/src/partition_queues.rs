//! Reads partitions by hand, each until one event of it says enough.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaResult;
use rdkafka::message::BorrowedMessage;
use rdkafka::{Offset, TopicPartitionList};

/// A partition of a topic.
pub(crate) type TopicPartition = (Arc<str>, i32);

const POLL: Duration = Duration::from_millis(100);

/// Reads partitions from offsets on, all concurrently. `taken` gets what a partition is read for with each of its events, and
/// returns it if that event was not enough. Partitions of which none is enough in time are left.
///
/// The client reads nothing else meanwhile.
///
/// # Errors
/// Fails when the client cannot be used. Blocks for at most `patience`.
pub(crate) fn read_each<T>(
    client: &Arc<BaseConsumer<DefaultConsumerContext>>,
    starts: Vec<(TopicPartition, i64, T)>,
    patience: Duration,
    mut taken: impl FnMut(T, KafkaResult<BorrowedMessage<'_>>) -> Option<T>,
) -> KafkaResult<()> {
    let mut assigned = TopicPartitionList::with_capacity(starts.len());
    let mut open = Vec::with_capacity(starts.len());
    for ((topic, partition), offset, of) in starts {
        assigned.add_partition_offset(&topic, partition, Offset::Offset(offset))?;
        // One queue for each partition: the event of its end does not name its topic.
        let Some(mut queue) = client.split_partition_queue(&topic, partition) else { continue };
        let waiting = thread::current();
        queue.set_nonempty_callback(move || waiting.unpark());
        open.push((queue, of));
    }
    client.assign(&assigned)?;
    let end = Instant::now() + patience;
    while !open.is_empty() && Instant::now() < end {
        // Errors of the client itself are transient, or reading takes too long.
        while client.poll(Duration::ZERO).is_some() {}
        let mut left = Vec::with_capacity(open.len());
        let before = open.len();
        for (queue, of) in open {
            let of = match queue.poll(Duration::ZERO) {
                Some(event) => taken(of, event),
                None => Some(of),
            };
            left.extend(of.map(|of| (queue, of)));
        }
        open = left;
        if open.len() == before {
            thread::park_timeout(POLL);
        }
    }
    Ok(())
}
