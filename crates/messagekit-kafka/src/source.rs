//! Topics that a consumer reads.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{
    BatchLimit, Capabilities, IntoSource, NextOffset, RememberedOffsets, RetentionProbe, Source, TopicList,
    check_topic,
};
use messagekit::{Error, ErrorKind};

use crate::memory::{Lent, Memory};
use crate::record::check_unwinding;
use crate::retention::BrokerRetention;
use crate::topic_list::BrokerTopics;
use crate::{Kafka, KafkaSubscriber};

/// Selects topics of a [`Kafka`] that a consumer reads.
#[derive(Clone, Debug)]
pub struct KafkaSource {
    kafka: Kafka,
    topics: Vec<Arc<str>>,
    instance: Option<String>,
    since: Option<Timestamp>,
    memory: Option<Lent>,
}

impl Kafka {
    /// Returns a source over topics; it waits for a topic that does not exist yet.
    pub fn topics<T: Into<Arc<str>>>(&self, topics: impl IntoIterator<Item = T>) -> KafkaSource {
        let topics = topics.into_iter().map(Into::into).collect();
        KafkaSource { kafka: self.clone(), topics, instance: None, since: None, memory: None }
    }
}

impl KafkaSource {
    /// Makes this process a static member of the group. If it returns under the same name within `session.timeout.ms`
    /// (45,000 unless set), it gets its partitions back at once, and other members are not disturbed. Until then no
    /// other member gets them. Without an instance id the session timeout is 6,000 ms. The partitions of a crashed
    /// process are read again after it.
    ///
    /// The name must be unique in the group, for example the name of the pod. Of two processes with
    /// the same name, one ends with a permanent error.
    #[must_use]
    pub fn instance_id(mut self, name: impl Into<String>) -> Self {
        self.instance = Some(name.into());
        self
    }

    /// Makes a consumer begin with the first record of this time or later in each partition in which its group has read nothing, instead of
    /// with the earliest one; behind the last record if none is so new. Where it has begun is committed before the first message, and later
    /// starts go on from there, whatever time they name, as long as the group's offsets are kept.
    ///
    /// The times are those of the records: by the clock of the program that wrote them, or by the broker's for a topic with
    /// `message.timestamp.type=LogAppendTime`. A fixed time skips nothing that comes later, whenever a process starts, a partition is added or
    /// the group's offsets expire. `Timestamp::now()` is another time at each start: what a partition without an offset got in between is
    /// skipped.
    ///
    /// ```
    /// use jiff::Timestamp;
    /// use messagekit_kafka::Kafka;
    ///
    /// let began: Timestamp = "2026-11-27T06:00:00Z".parse().unwrap();
    /// let orders = Kafka::new("broker-1:9092").topics(["orders.order"]).since(began);
    /// # drop(orders);
    /// ```
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }
}

/// The topics of the events that the consumer's handlers take.
impl IntoSource for Kafka {
    type Source = KafkaSource;
    const FOLLOWS_HANDLERS: bool = true;

    fn into_source(self, topics: Vec<&'static str>) -> KafkaSource {
        self.topics(topics)
    }
}

impl Source for KafkaSource {
    type Subscriber = KafkaSubscriber;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            system: "kafka",
            persistent: true,
            shares_work: true,
            positions: true,
            any_order: true,
            batch: BatchLimit::DEFAULT,
        }
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        Some(Arc::new(BrokerRetention { config: self.kafka.asking(), topics: self.topics.clone() }))
    }

    fn topic_list(&self) -> Option<Arc<dyn TopicList>> {
        Some(Arc::new(BrokerTopics(self.kafka.asking())))
    }

    fn consult(&mut self, memory: Arc<dyn RememberedOffsets>) {
        self.memory = Some(Lent(memory));
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<KafkaSubscriber, Error> {
        check_unwinding(cfg!(panic = "abort"))?;
        let refused = |text: String| Err(Error::new(ErrorKind::InvalidConfiguration, text));
        if self.topics.is_empty() {
            return refused("a source without topics delivers nothing".to_owned());
        }
        self.topics.iter().try_for_each(|topic| check_topic(topic))?;
        for (what, name) in [("consumer name", Some(consumer)), ("instance id", self.instance.as_deref())] {
            if name.is_some_and(|name| name.is_empty() || name.len() > 200 || name.contains(char::is_control))
            {
                let name = name.unwrap_or_default();
                return refused(format!("{what} {name:?} is not 1 to 200 bytes without control characters"));
            }
        }
        let memory = Memory::new(remembered, self.memory);
        let instance = self.instance.as_deref();
        KafkaSubscriber::join(&self.kafka, &self.topics, consumer, instance, self.since, memory).await
    }
}
