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

/// What a partition has at the offset of a handled record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// The handled record.
    Same,
    /// Later records only: it was deleted or compacted away, which proves nothing.
    Deleted,
    /// Another record, or the partition ends before it: it is another log.
    Another,
}

/// A record that was handled.
#[derive(Clone, Debug)]
pub(super) struct Handled {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) print: Fingerprint,
}

/// Reads handled records again, all concurrently, and reports for each as soon as possible what its partition has there. Records that do not
/// arrive in time are not reported.
///
/// # Errors
/// Fails when the client cannot be used. Blocks.
pub(super) fn check<T>(
    reader: &Arc<BaseConsumer<DefaultConsumerContext>>,
    handled: Vec<(Handled, T)>,
    mut report: impl FnMut(Handled, T, Content),
) -> KafkaResult<()> {
    let starts = handled.into_iter().map(|(record, of)| {
        let partition = (Arc::clone(&record.topic), record.partition);
        (partition, record.offset, (record, of))
    });
    read_each(reader, starts.collect(), ASK, |(record, of), event| match content(reader, &record, event) {
        Some(content) => {
            report(record, of, content);
            None
        }
        None => Some((record, of)),
    })
}

/// Checks an event of the partition of a record.
fn content(
    reader: &BaseConsumer<DefaultConsumerContext>,
    record: &Handled,
    event: KafkaResult<BorrowedMessage<'_>>,
) -> Option<Content> {
    match event {
        Ok(found) if found.offset() > record.offset => Some(Content::Deleted),
        Ok(found) if found.offset() == record.offset && Fingerprint::of(&found) == record.print => {
            Some(Content::Same)
        }
        // The broker returns an earlier record if the partition ends before the offset.
        Ok(_) => Some(Content::Another),
        Err(KafkaError::PartitionEOF(_)) => {
            let (_, end) = reader.fetch_watermarks(&record.topic, record.partition, ASK_END).ok()?;
            Some(if end > record.offset { Content::Deleted } else { Content::Another })
        }
        Err(_) => None,
    }
}
