//! Whether a partition still is the log that was read.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};

use super::proof::Fingerprint;

/// How long the brokers may take to show the records. It holds up nothing but the partitions whose record is not shown.
const ASK: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(100);

/// How long a leader may take to say where its partition ends, after it has shown that nothing is there.
const ASK_END: Duration = Duration::from_secs(1);

/// A record that was handled.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) print: Fingerprint,
}

/// A record that is being read once more.
struct Open<T> {
    record: Handled,
    of: T,
    queue: PartitionQueue<DefaultConsumerContext>,
}

/// Reads records that were handled once more, all side by side, and says of each as soon as it is known whether its partition
/// is the log that was read. It is not where the record is not there although the partition has earlier ones, or where another one
/// stands in its place; records that were deleted or compacted away say nothing. Of those that are not shown in time nothing is said.
///
/// # Errors
/// When the client cannot be used. Blocks.
pub(super) fn check<T>(
    reader: &Arc<BaseConsumer<DefaultConsumerContext>>,
    handled: Vec<(Handled, T)>,
    mut is_same_log: impl FnMut(Handled, T, bool),
) -> KafkaResult<()> {
    let mut places = TopicPartitionList::with_capacity(handled.len());
    let mut open = Vec::with_capacity(handled.len());
    for (record, of) in handled {
        places.add_partition_offset(&record.topic, record.partition, Offset::Offset(record.offset))?;
        // A queue for each: the end of a partition is told without its topic.
        let Some(mut queue) = reader.split_partition_queue(&record.topic, record.partition) else { continue };
        let waiting = thread::current();
        queue.set_nonempty_callback(move || waiting.unpark());
        open.push(Open { record, of, queue });
    }
    reader.assign(&places)?;
    let end = Instant::now() + ASK;
    while !open.is_empty() && Instant::now() < end {
        // What the client itself says passes by itself, or takes too long.
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

/// Looks at what has come of a partition.
fn is_there<T>(reader: &BaseConsumer<DefaultConsumerContext>, open: &Open<T>) -> Option<bool> {
    let record = &open.record;
    match open.queue.poll(Duration::ZERO)? {
        // An earlier one comes where the partition ends before the offset.
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
