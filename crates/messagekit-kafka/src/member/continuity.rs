//! Checks whether a partition still contains the records that were handled.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::proof::Fingerprint;

/// How long the brokers may take to return the records. Only partitions whose record is missing wait.
const ASK: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// How long a leader may take to report the end of its partition after it returned no record.
const ASK_END: Duration = Duration::from_secs(1);

/// A record that was handled.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) print: Fingerprint,
}

/// A record that is read again.
struct Open<T> {
    record: Handled,
    of: T,
    queue: PartitionQueue<DefaultConsumerContext>,
}

/// Reads handled records again, all concurrently, and reports for each as soon as possible whether its partition is
/// unchanged. A partition has changed if the record is missing although earlier ones exist, or if another record has
/// its offset. Records that were deleted or compacted away prove nothing. Records that do not arrive in time are not
/// reported.
///
/// # Errors
/// Fails when the client cannot be used. Blocks.
pub(super) fn check<T>(
    reader: &Arc<BaseConsumer<DefaultConsumerContext>>,
    handled: Vec<(Handled, T)>,
    mut is_same_log: impl FnMut(Handled, T, bool),
) -> KafkaResult<()> {
    let mut places = TopicPartitionList::with_capacity(handled.len());
    let mut open = Vec::with_capacity(handled.len());
    for (record, of) in handled {
        places.add_partition_offset(&record.topic, record.partition, Offset::Offset(record.offset))?;
        // One queue for each partition: the end-of-partition event does not name its topic.
        let Some(mut queue) = reader.split_partition_queue(&record.topic, record.partition) else { continue };
        let waiting = thread::current();
        queue.set_nonempty_callback(move || waiting.unpark());
        open.push(Open { record, of, queue });
    }
    reader.assign(&places)?;
    let end = Instant::now() + ASK;
    while !open.is_empty() && Instant::now() < end {
        // Errors of the client itself are transient, or reading takes too long.
        while reader.poll(Duration::ZERO).is_some() {}
        let mut unknown = Vec::with_capacity(open.len());
        let before = open.len();
        for one in open {
            match is_there(reader, &one) {
                Some(is_there) => is_same_log(one.record, one.of, is_there),
                None => unknown.push(one),
            }
        }
        open = unknown;
        if open.len() == before {
            thread::park_timeout(POLL);
        }
    }
    Ok(())
}

/// Checks the records received from a partition.
fn is_there<T>(reader: &BaseConsumer<DefaultConsumerContext>, open: &Open<T>) -> Option<bool> {
    let record = &open.record;
    match open.queue.poll(Duration::ZERO)? {
        // The broker returns an earlier record if the partition ends before the offset.
        Ok(found) => Some(
            found.offset() > record.offset
                || found.offset() == record.offset && Fingerprint::of(&found) == record.print,
        ),
        Err(KafkaError::PartitionEOF(_)) => {
            let ends = reader.fetch_watermarks(&record.topic, record.partition, ASK_END);
            ends.ok().map(|(_, end)| end > record.offset)
        }
        Err(_) => None,
    }
}
