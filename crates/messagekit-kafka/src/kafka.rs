//! The settings of a connection to Kafka.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use messagekit::ErrorKind;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use crate::properties::{
    BOTH, COMPRESSION_TYPE, CONSUMER, CONSUMER_FIXED, DELIVERY_TIMEOUT, LAG, LOG, LOG_FIXED, PRODUCER,
    PRODUCER_FIXED, READING_GROUP, REFUSED, STATIC_CONSUMER, ZSTD, ZSTD_LEVEL,
};
use crate::topic_ids;
use crate::{Error, OnRecreatedTopic};

/// Holds the settings of a connection to Kafka. Creating them opens no connection.
///
/// ```
/// use messagekit_kafka::Kafka;
///
/// let kafka = Kafka::new("broker-1:9092,broker-2:9092").set("security.protocol", "ssl")?;
/// let source = kafka.topics(["orders.order"]);
/// # Ok::<(), messagekit_kafka::Error>(())
/// ```
#[derive(Clone)]
pub struct Kafka {
    servers: String,
    properties: BTreeMap<String, String>,
    on_recreated_topic: OnRecreatedTopic,
}

impl Kafka {
    /// Creates settings with the bootstrap brokers, as `host:port,host:port`.
    pub fn new(servers: impl Into<String>) -> Self {
        Self {
            servers: servers.into(),
            properties: BTreeMap::new(),
            on_recreated_topic: OnRecreatedTopic::default(),
        }
    }

    /// Sets a property of librdkafka for subscribers and publishers; each ignores the properties of the other.
    ///
    /// `delivery.timeout.ms` (30,000 unless set) bounds a publish. The [crate's page](crate) lists the defaults that differ
    /// from librdkafka's.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], for a property that the guarantees of this crate depend on;
    /// the text says why. An unknown property fails only when a client is created.
    pub fn set(mut self, key: impl Into<String>, value: impl Into<String>) -> Result<Self, Error> {
        let (key, value) = (key.into(), value.into());
        let refused = |text: String| Error::new(ErrorKind::InvalidConfiguration, text);
        if let Some((_, why)) = REFUSED.iter().find(|(name, _)| *name == key) {
            return Err(refused(format!("setting {key} cannot be changed: {why}")));
        }
        if key.contains('\0') || value.contains('\0') {
            return Err(refused(format!("setting {} has a NUL character", key.replace('\0', ""))));
        }
        if key == DELIVERY_TIMEOUT && !value.parse::<u32>().is_ok_and(|millis| millis > 0) {
            return Err(refused(format!("setting {key} is not a number of milliseconds above 0")));
        }
        self.properties.insert(key, value);
        Ok(self)
    }

    /// Says what a consumer does when a topic is deleted and made again while it has a position there. Unless this is called, it
    /// [stops](OnRecreatedTopic::Stop).
    #[must_use]
    pub fn on_recreated_topic(mut self, setting: OnRecreatedTopic) -> Self {
        self.on_recreated_topic = setting;
        self
    }

    /// Returns what a consumer does with a topic that was made again.
    pub(crate) fn recreated_topics(&self) -> OnRecreatedTopic {
        self.on_recreated_topic
    }

    /// Returns the client settings of a subscriber.
    pub(crate) fn consumer(&self, group: &str, instance: Option<&str>) -> ClientConfig {
        let defaults = if instance.is_some() { STATIC_CONSUMER } else { &[] };
        let mut config = self.client(&[CONSUMER, defaults], CONSUMER_FIXED);
        config.set("group.id", group);
        if let Some(instance) = instance {
            config.set("group.instance.id", instance);
        }
        log_topic_ids(&mut config);
        config
    }

    /// Returns the client settings of a publisher.
    pub(crate) fn producer(&self) -> ClientConfig {
        // A level has a meaning only for its type.
        let mut types = COMPRESSION_TYPE.iter().filter_map(|name| self.properties.get(*name));
        let level = if types.all(|name| name == ZSTD) { ZSTD_LEVEL } else { &[] };
        self.client(&[PRODUCER, level], PRODUCER_FIXED)
    }

    /// Returns the settings of a client that only sends queries.
    pub(crate) fn asking(&self) -> ClientConfig {
        self.client(&[], &[])
    }

    /// Returns the settings of a client that queries where partitions end and what they have first, and joins no group.
    pub(crate) fn lag_client(&self) -> ClientConfig {
        let mut config = self.log_client();
        config.set("group.id", READING_GROUP);
        for (name, value) in LAG {
            config.set(*name, *value);
        }
        config
    }

    /// Returns the client settings of a log, without a group and without limits of its queues.
    pub(crate) fn log_client(&self) -> ClientConfig {
        self.client(&[LOG], LOG_FIXED)
    }

    /// Returns the addresses of the bootstrap brokers.
    pub(crate) fn servers(&self) -> &str {
        &self.servers
    }

    /// Returns the time limit of a publish.
    pub(crate) fn delivery_timeout(&self) -> Duration {
        let millis = self.properties.get(DELIVERY_TIMEOUT).and_then(|millis| millis.parse().ok());
        Duration::from_millis(millis.unwrap_or(30_000))
    }

    /// Returns the value of a property in milliseconds.
    pub(crate) fn millis(&self, key: &str) -> Option<Duration> {
        self.properties.get(key)?.parse().ok().map(Duration::from_millis)
    }

    fn client(&self, defaults: &[&[(&str, &str)]], fixed: &[(&str, &str)]) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (key, value) in BOTH.iter().chain(defaults.iter().copied().flatten()) {
            config.set(*key, *value);
        }
        for (key, value) in self.properties.iter().filter(|(key, _)| *key != DELIVERY_TIMEOUT) {
            config.set(key, value);
        }
        for (key, value) in fixed {
            config.set(*key, *value);
        }
        config.set("bootstrap.servers", &self.servers);
        // Otherwise librdkafka takes the level from a logger that this crate does not set.
        let debug = self.properties.contains_key("debug");
        config.set_log_level(if debug { RDKafkaLogLevel::Debug } else { RDKafkaLogLevel::Info });
        config
    }
}

/// Makes a client log the ids of topics, which [`TopicIds`](topic_ids::TopicIds) reads. Only for a client that is polled all the time.
pub(crate) fn log_topic_ids(config: &mut ClientConfig) {
    let debug = config
        .get("debug")
        .map_or_else(|| topic_ids::LOGGED.to_owned(), |debug| format!("{debug},{}", topic_ids::LOGGED));
    config.set("debug", debug).set_log_level(RDKafkaLogLevel::Debug);
}

/// Shows the names of the properties and never their values, because some are secrets.
impl fmt::Debug for Kafka {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kafka")
            .field("servers", &self.servers)
            .field("properties", &self.properties.keys().collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_promises_rest_on_cannot_be_set() {
        let fixed = CONSUMER_FIXED.iter().chain(PRODUCER_FIXED).map(|(key, _)| *key);
        for key in fixed.chain(["group.id", "bootstrap.servers"]) {
            let error = Kafka::new("localhost:1").set(key, "1").expect_err(key);
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let kafka = Kafka::new("localhost:1").set("sasl.password", "hunter2").unwrap();
        let shown = format!("{kafka:?} {:?}", kafka.topics(["a"]));
        assert!(shown.contains("sasl.password") && !shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn a_user_setting_replaces_a_default() {
        let kafka = Kafka::new("localhost:1").set("linger.ms", "50").unwrap();
        assert_eq!(kafka.producer().get("linger.ms"), Some("50"));
        assert_eq!(kafka.producer().get("acks"), Some("all"));
        assert_eq!(kafka.consumer("billing", None).get("auto.offset.reset"), Some("error"));
    }

    #[test]
    fn the_level_of_a_compression_is_set_for_zstd_only() {
        let level = |properties: &[(&str, &str)]| {
            let of = |kafka: Kafka, (name, value): &(&str, &str)| kafka.set(*name, *value).unwrap();
            let kafka = properties.iter().fold(Kafka::new("localhost:1"), of);
            kafka.producer().get("compression.level").map(str::to_owned)
        };
        assert_eq!(level(&[]).as_deref(), Some("1"));
        assert_eq!(level(&[("compression.level", "3")]).as_deref(), Some("3"));
        assert_eq!(level(&[("compression.type", "zstd")]).as_deref(), Some("1"));
        assert_eq!(level(&[("compression.type", "gzip")]), None);
        assert_eq!(level(&[("compression.codec", "lz4")]), None);
    }

    #[test]
    fn a_process_that_comes_back_under_its_name_is_waited_for() {
        let session = |kafka: &Kafka, instance| {
            kafka.consumer("billing", instance).get("session.timeout.ms").map(str::to_owned)
        };
        let kafka = Kafka::new("localhost:1");
        assert_eq!(session(&kafka, None).as_deref(), Some("6000"));
        assert_eq!(session(&kafka, Some("a")).as_deref(), Some("45000"));
        let kafka = kafka.set("session.timeout.ms", "20000").unwrap();
        assert_eq!(session(&kafka, Some("a")).as_deref(), Some("20000"));
    }

    #[test]
    fn the_deadline_of_a_publish_is_kept_from_librdkafka() {
        let kafka = Kafka::new("localhost:1").set(DELIVERY_TIMEOUT, "700").unwrap();
        assert_eq!(kafka.delivery_timeout(), Duration::from_millis(700));
        assert_eq!(kafka.producer().get("message.timeout.ms"), Some("0"));
        assert!(Kafka::new("localhost:1").set(DELIVERY_TIMEOUT, "soon").is_err());
    }
}
