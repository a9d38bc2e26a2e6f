//! The client of a group member, and its replacement after it has lost its brokers.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Error;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::KafkaResult;

use crate::OnRecreatedTopic;
use crate::context::Context;
use crate::error::unusable_settings;
use crate::topic_ids::TopicIds;

/// The settings that create a client of a group.
#[derive(Clone)]
pub(crate) struct GroupClient {
    config: ClientConfig,
    topics: Vec<Arc<str>>,
    /// The ids of topics that this client and those before it have seen.
    pub(crate) ids: Arc<TopicIds>,
    /// From when on the group reads partitions in which it has read nothing; otherwise from their beginning.
    pub(crate) since: Option<Timestamp>,
    pub(crate) on_recreated_topic: OnRecreatedTopic,
}

impl GroupClient {
    pub(crate) fn new(
        config: ClientConfig,
        topics: Vec<Arc<str>>,
        since: Option<Timestamp>,
        on_recreated_topic: OnRecreatedTopic,
    ) -> Self {
        Self { config, topics, ids: Arc::default(), since, on_recreated_topic }
    }

    pub(crate) fn topics(&self) -> impl Iterator<Item = &str> {
        self.topics.iter().map(|topic| &**topic)
    }

    /// Creates a client without a membership; opens no connection before it returns.
    pub(crate) fn unsubscribed(&self) -> Result<BaseConsumer<Context>, Error> {
        let made = self.config.create_with_context(Context::of(&self.config, &self.ids));
        made.map_err(|error| unusable_settings("subscriber", error))
    }

    /// Creates a client without a membership that reads single records.
    pub(crate) fn reader(&self) -> KafkaResult<BaseConsumer<DefaultConsumerContext>> {
        let mut config = self.config.clone();
        config.set("auto.offset.reset", "earliest").set("enable.partition.eof", "true");
        // The default context logs statistics.
        config.set("queued.min.messages", "1").set("statistics.interval.ms", "0");
        config.remove("group.instance.id");
        config.remove("debug");
        config.create()
    }

    /// Creates a client and joins the group. The client wakes the calling thread, which must poll it.
    pub(crate) fn subscribed(
        &self,
        mut client: BaseConsumer<Context>,
    ) -> Result<Arc<BaseConsumer<Context>>, Error> {
        let thread = std::thread::current();
        client.set_nonempty_callback(move || thread.unpark());
        let topics: Vec<&str> = self.topics().collect();
        client.subscribe(&topics).map_err(|error| unusable_settings("subscriber", error))?;
        Ok(Arc::new(client))
    }
}
