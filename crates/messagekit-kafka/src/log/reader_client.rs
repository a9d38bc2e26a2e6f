//! The client of a reader's thread.

use std::sync::Arc;
use std::thread;

use messagekit::Error;
use rdkafka::ClientConfig;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::error::KafkaError;

use super::questions::Client;
use crate::context::Context;
use crate::error::unusable_settings;
use crate::topic_ids::TopicIds;

/// Makes a client that notes the ids of topics and wakes the calling thread, and a queue for each partition, before any is assigned: no record comes by another queue
/// then.
///
/// # Errors
/// Permanent if the settings make no client.
pub(super) fn open(
    config: &ClientConfig,
    ids: &Arc<TopicIds>,
    topic: &str,
    partitions: impl Iterator<Item = i32>,
) -> Result<(Arc<Client>, Vec<PartitionQueue<Context>>), Error> {
    let unusable = |error| unusable_settings("log", error);
    let mut client: Client = config.create_with_context(Context::of(config, ids)).map_err(unusable)?;
    let thread = thread::current();
    client.set_nonempty_callback(move || thread.unpark());
    let client = Arc::new(client);
    let queue = |number| client.split_partition_queue(topic, number);
    let queues = partitions.map(queue).collect::<Option<_>>();
    let queues = queues.ok_or_else(|| unusable(KafkaError::Subscription(topic.to_owned())))?;
    Ok((client, queues))
}
