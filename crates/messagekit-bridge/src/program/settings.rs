//! The settings of a bridge, from its file and the environment.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::{RoutingKey, check_name, check_topic};
use messagekit_config::{Configuration, Secret, Section};
use messagekit_kafka::Kafka;
use messagekit_rabbitmq::RabbitMq;

use crate::Bridge;

/// Holds the settings of a bridge; `docs/bridge.md` lists the keys.
#[derive(Clone)]
pub struct Settings {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) unconfirmed: NonZeroUsize,
    pub(super) drain: Duration,
    pub(super) instance_id: Option<String>,
    pub(super) dead_letters: String,
    pub(super) retry_topic: String,
    pub(super) kafka: Kafka,
    /// The same with a higher size limit, because dead letters are larger than their messages.
    pub(super) kafka_for_dead_letters: Kafka,
    pub(super) rabbitmq: RabbitMq,
    pub(super) rules: Vec<RuleSettings>,
    pub(super) limit: Option<(NonZeroU32, Duration)>,
    pub(super) breaker: Option<(NonZeroU32, Duration)>,
    /// The database of the duplicate filter.
    pub(super) duplicates: Option<Secret>,
}

#[derive(Clone, Debug)]
pub(super) struct RuleSettings {
    pub(super) topics: Vec<String>,
    pub(super) exchange: String,
    pub(super) routing_key: String,
}

const MESSAGE_BYTES: &str = "message.max.bytes";
/// The largest dead letter that the client sends; the topic's own limit also applies.
const DEAD_LETTER_BYTES: &str = "16777216";

impl Settings {
    /// Reads all settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) with every problem, its key
    /// and its position.
    pub fn read(configuration: &Configuration) -> Result<Self, Error> {
        // All programs of messagekit may share one file.
        configuration.reads_only(&["bridge", "rule", "kafka", "rabbitmq"]);
        let bridge = configuration.section("bridge");
        let name = bridge.required::<String>("name").unwrap_or_default();
        if let Err(error) = check_name("bridge", &name, 200) {
            bridge.problem("name", error);
        }
        let dead_letters = topic(&bridge, "dead_letters", format!("{name}.dead"));
        let retry_topic = topic(&bridge, "retry_topic", Bridge::retry_topic(&name).to_string());
        let exchange = bridge.optional::<String>("exchange");
        let own = [&dead_letters, &retry_topic];
        let rules = rules(&configuration.sections("rule"), exchange.as_deref(), &own, &bridge);
        let broker = configuration.section("kafka");
        let brokers =
            Kafka::from_section(&broker).zip(RabbitMq::from_section(&configuration.section("rabbitmq")));
        let (limit, breaker) = (bridge.section("limit"), bridge.section("breaker"));
        let listen = bridge.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8090)));
        let unconfirmed = bridge.or("unconfirmed", NonZeroUsize::new(500).unwrap_or(NonZeroUsize::MIN));
        let drain = bridge.or("drain", Duration::from_secs(10));
        let instance_id = bridge.optional("instance_id");
        let duplicates = bridge.section("duplicates").secret("database");
        let limit = limit.switched("messages", count(500), "per", Duration::from_secs(60));
        let breaker = breaker.switched("failures", count(5), "open_for", Duration::from_secs(30));
        let (kafka, rabbitmq) = configuration.complete(brokers)?;
        Ok(Self {
            kafka_for_dead_letters: for_dead_letters(&kafka, &broker),
            name,
            listen,
            unconfirmed,
            drain,
            instance_id,
            dead_letters,
            retry_topic,
            kafka,
            rabbitmq,
            rules,
            limit,
            breaker,
            duplicates,
        })
    }

    /// Returns the bridge's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns every topic that the bridge reads: those of the rules, and its own topic for repaired copies.
    pub(super) fn topics(&self) -> Vec<String> {
        let topics = self.rules.iter().flat_map(|rule| rule.topics.iter().cloned());
        topics.chain([self.retry_topic.clone()]).collect()
    }
}

fn count(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap_or(NonZeroU32::MIN)
}

fn topic(section: &Section<'_>, key: &str, default: String) -> String {
    let topic = section.or(key, default);
    if let Err(error) = check_topic(&topic) {
        section.problem(key, error);
    }
    topic
}

fn rules(
    sections: &[Section<'_>],
    exchange: Option<&str>,
    own: &[&String],
    bridge: &Section<'_>,
) -> Vec<RuleSettings> {
    if sections.is_empty() {
        bridge.problem("rule", "there is no [[rule]]: write one with topics and exchange");
    }
    let mut seen = HashMap::new();
    sections
        .iter()
        .enumerate()
        .map(|(number, section)| {
            let topics = section.required::<Vec<String>>("topics");
            if topics.as_ref().is_some_and(Vec::is_empty) {
                section.problem("topics", "names no topic");
            }
            let topics = topics.unwrap_or_default();
            for topic in &topics {
                if let Err(error) = check_topic(topic) {
                    section.problem("topics", error);
                }
                if own.contains(&topic) {
                    section.problem("topics", format!("topic {topic} is the bridge's own"));
                }
                if let Some(first) = seen.insert(topic.clone(), number) {
                    section.problem("topics", format!("topic {topic} stands in rule {} already", first + 1));
                }
            }
            let exchange = match exchange {
                Some(exchange) => section.or("exchange", exchange.to_owned()),
                None => section.required("exchange").unwrap_or_default(),
            };
            if exchange.len() > 255 {
                section.problem("exchange", "is longer than 255 bytes");
            }
            let routing_key = section.or("routing_key", "{eventType}".to_owned());
            if let Err(error) = routing_key.parse::<RoutingKey>() {
                section.problem("routing_key", error);
            }
            RuleSettings { topics, exchange, routing_key }
        })
        .collect()
}

/// The same with a higher size limit, unless the section sets one.
fn for_dead_letters(kafka: &Kafka, section: &Section<'_>) -> Kafka {
    let written = section.or("properties", BTreeMap::<String, String>::new());
    let limit = (!written.contains_key(MESSAGE_BYTES)).then_some(DEAD_LETTER_BYTES);
    limit.and_then(|limit| kafka.clone().set(MESSAGE_BYTES, limit).ok()).unwrap_or_else(|| kafka.clone())
}

/// Shows neither addresses nor passwords.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("name", &self.name)
            .field("listen", &self.listen)
            .field("rules", &self.rules)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINIMUM: &str = r#"
        [bridge]
        name = "orders-to-shipping"
        [kafka]
        brokers = ["127.0.0.1:9092"]
        [rabbitmq]
        url = "amqp://guest:guest@127.0.0.1"
        [[rule]]
        topics = ["orders.order"]
        exchange = "events"
    "#;

    fn read(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::read(&Configuration::read(("bridge.toml", text), variables.iter().copied())?)
    }

    #[test]
    fn the_minimum_has_the_documented_defaults() {
        let settings = read(MINIMUM, &[]).unwrap();
        assert_eq!(settings.listen.to_string(), "127.0.0.1:8090");
        assert_eq!((settings.unconfirmed.get(), settings.drain), (500, Duration::from_secs(10)));
        assert_eq!(settings.dead_letters, "orders-to-shipping.dead");
        assert_eq!(settings.topics(), ["orders.order", "orders-to-shipping.retry"]);
        assert_eq!(settings.rules[0].routing_key, "{eventType}");
        assert!(settings.limit.is_none() && settings.breaker.is_none() && settings.duplicates.is_none());
    }

    #[test]
    fn a_limit_is_on_when_its_section_is_written() {
        let limit = |extra: &str| read(&format!("{extra}\n{MINIMUM}"), &[]).unwrap().limit;
        let five_hundred = NonZeroU32::new(500).unwrap();
        assert_eq!(limit("[bridge.limit]\nmessages = 500"), Some((five_hundred, Duration::from_secs(60))));
        assert_eq!(limit("[bridge.limit]\nenabled = false\nmessages = 5"), None);
    }

    #[test]
    fn the_names_of_messagekit_for_python_are_read() {
        let variables = [
            ("EVENTING_RABBITMQ_RATE_LIMITER_ENABLED", "true"),
            ("EVENTING_RABBITMQ_RATE_LIMIT", "50"),
            ("EVENTING_RABBITMQ_EXCHANGE", "shop"),
        ];
        let text = MINIMUM.replace("exchange = \"events\"", "");
        let settings = read(&text, &variables).unwrap();
        assert_eq!(settings.limit.unwrap().0.get(), 50);
        assert_eq!(settings.rules[0].exchange, "shop");
    }

    #[test]
    fn every_problem_is_said_at_once_with_its_key() {
        let text = r#"
            [bridge]
            name = "a b"
            listen = "nowhere"
            bogus = 1
            [bridge.breaker]
            failures = 0
            [kafka]
            properties = { "enable.auto.commit" = "true" }
            [rabbitmq]
            url = "http://user:hunter2@h"
            [[rule]]
            topics = ["orders.order", "a b.retry"]
            exchange = "events"
            routing_key = "{eventType"
            [[rule]]
            topics = ["orders.order"]
        "#;
        let error = read(text, &[]).unwrap_err().to_string();
        for problem in [
            "bridge.name",
            "bridge.listen",
            "bridge.bogus",
            "bridge.breaker.failures",
            "kafka.brokers",
            "enable.auto.commit",
            "rabbitmq.url",
            "brace that stands alone",
            "stands in rule 1 already",
            "exchange",
        ] {
            assert!(error.contains(problem), "{problem:?} is not in {error}");
        }
        assert!(!error.contains("hunter2"), "{error}");
    }
}
