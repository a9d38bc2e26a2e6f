//! What partitions have first from an offset on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;

use crate::partition_queues::{TopicPartition, read_each};

/// What is first from an offset on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// A record, and when it was written, in milliseconds since 1970.
    Record(Option<i64>),
    /// The end of the partition: only markers of transactions and records of aborted ones lie before it.
    End,
}

/// Reads what each partition has first from an offset on, all concurrently. Partitions whose leader does not answer in
/// time, or that no longer have the offset, are left out.
///
/// The client announces the ends of partitions (`enable.partition.eof`) and reads nothing else meanwhile.
///
/// # Errors
/// Fails when the client cannot be used. Blocks for at most `patience`.
pub(crate) fn first_records(
    client: &Arc<BaseConsumer>,
    offsets: &[(TopicPartition, i64)],
    patience: Duration,
) -> KafkaResult<BTreeMap<TopicPartition, First>> {
    let starts = offsets.iter().map(|(partition, offset)| (partition.clone(), *offset, partition)).collect();
    let mut found = BTreeMap::new();
    read_each(client, starts, patience, |partition, event| {
        let first = match event {
            Ok(record) => First::Record(record.timestamp().to_millis()),
            Err(KafkaError::PartitionEOF(_)) => First::End,
            Err(_) => return Some(partition),
        };
        found.insert(partition.clone(), first);
        None
    })?;
    client.unassign()?;
    Ok(found)
}
