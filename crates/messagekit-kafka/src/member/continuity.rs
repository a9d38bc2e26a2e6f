//! Checks whether a partition still contains the records that were handled.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Message as _};

use super::proof::Fingerprint;
use crate::partition_queues::read_each;

/// How long the brokers may take to return the records. Only partitions whose record is missing wait.
const ASK: Duration = Duration::from_secs(30);

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
    let starts = handled.into_iter().map(|(record, of)| {
        let partition = (Arc::clone(&record.topic), record.partition);
        (partition, record.offset, (record, of))
    });
    read_each(reader, starts.collect(), ASK, |(record, of), event| match is_there(reader, &record, event) {
        Some(is_there) => {
            is_same_log(record, of, is_there);
            None
        }
        None => Some((record, of)),
    })
}

/// Checks an event of the partition of a record.
fn is_there(
    reader: &BaseConsumer<DefaultConsumerContext>,
    record: &Handled,
    event: KafkaResult<BorrowedMessage<'_>>,
) -> Option<bool> {
    match event {
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
