//! The section `[kafka]` of a configuration.

use std::collections::BTreeMap;

use messagekit_config::Section;

use crate::{Kafka, OnRecreatedTopic};

impl Kafka {
    /// Reads the section `[kafka]` of a program's configuration. `None` only if that is a reported problem.
    ///
    /// | key | meaning |
    /// |---|---|
    /// | `brokers` | the bootstrap brokers, as `["HOST:PORT", …]` |
    /// | `client_id` | the name of this program at the broker; `messagekit` unless set |
    /// | `password`, or `password_file` | the password of SASL |
    /// | `properties` | a table of [properties](Self::set) of librdkafka |
    /// | `on_recreated_topic` | `stop` or `read_from_start`: what a consumer does with a topic that was [deleted and made again](crate::OnRecreatedTopic); `stop` unless set |
    ///
    /// ```
    /// use messagekit_config::Configuration;
    /// use messagekit_kafka::Kafka;
    ///
    /// let file = "[kafka]\nbrokers = ['localhost:9092']\nproperties = { 'security.protocol' = 'ssl' }\n";
    /// let configuration = Configuration::read(("billing.toml", file), [("", "")])?;
    /// let kafka = configuration.complete(Kafka::from_section(&configuration.section("kafka")))?;
    /// let orders = kafka.topics(["orders.order"]);
    /// # Ok::<(), messagekit::Error>(())
    /// ```
    pub fn from_section(section: &Section<'_>) -> Option<Self> {
        Self::with_brokers(section, section.required("brokers"))
    }

    /// As [`from_section`](Self::from_section), with the brokers of a command line, which override those of the section.
    pub fn from_section_at(section: &Section<'_>, brokers: Vec<String>) -> Option<Self> {
        let _: Option<Vec<String>> = section.optional("brokers");
        Self::with_brokers(section, Some(brokers))
    }

    /// Reports the problems of the other keys also without brokers.
    fn with_brokers(section: &Section<'_>, brokers: Option<Vec<String>>) -> Option<Self> {
        let mut properties: BTreeMap<String, String> = section.or("properties", BTreeMap::new());
        if let Some(client) = section.optional("client_id") {
            properties.insert("client.id".to_owned(), client);
        }
        if let Some(password) = section.secret("password") {
            properties.insert("sasl.password".to_owned(), password.expose().to_owned());
        }
        if brokers.as_ref().is_some_and(|brokers| brokers.iter().all(|broker| broker.trim().is_empty())) {
            section.problem("brokers", "names no broker: write [\"HOST:PORT\"]");
        }
        let mut kafka = Self::new(brokers.as_ref().map(|brokers| brokers.join(",")).unwrap_or_default())
            .on_recreated_topic(section.or("on_recreated_topic", OnRecreatedTopic::default()));
        for (key, value) in properties {
            match kafka.clone().set(key, value) {
                Ok(set) => kafka = set,
                Err(error) => section.problem("properties", error),
            }
        }
        brokers.map(|_| kafka)
    }
}

#[cfg(test)]
mod tests {
    use messagekit_config::Configuration;

    use crate::{Kafka, OnRecreatedTopic};

    const FILE: &str = "[kafka]
brokers = ['a:1', 'b:2']
client_id = 'billing'
password = 's3cret'
on_recreated_topic = 'read_from_start'
properties = { 'security.protocol' = 'sasl_ssl' }
";

    fn read(text: &str) -> Configuration {
        Configuration::read(("shop.toml", text), [("", "")]).expect("it is TOML")
    }

    #[test]
    fn every_key_reaches_the_client() {
        let configuration = read(FILE);
        let kafka = Kafka::from_section(&configuration.section("kafka"));
        let kafka = configuration.complete(kafka).expect("nothing is wrong");
        assert_eq!(kafka.recreated_topics(), OnRecreatedTopic::ReadFromStart);
        let client = kafka.producer();
        for (property, value) in [
            ("bootstrap.servers", "a:1,b:2"),
            ("client.id", "billing"),
            ("sasl.password", "s3cret"),
            ("security.protocol", "sasl_ssl"),
        ] {
            assert_eq!(client.get(property), Some(value), "{property}");
        }
    }

    #[test]
    fn brokers_of_a_command_line_win_and_keep_the_rest() {
        for file in [FILE, &FILE.replace("brokers = ['a:1', 'b:2']\n", "")] {
            let configuration = read(file);
            let kafka = Kafka::from_section_at(&configuration.section("kafka"), vec!["c:3".to_owned()]);
            let client = configuration.complete(kafka).expect("nothing is wrong").producer();
            assert_eq!(client.get("bootstrap.servers"), Some("c:3"));
            assert_eq!(client.get("sasl.password"), Some("s3cret"));
        }
    }

    #[test]
    fn every_mistake_is_named_at_once_without_the_password() {
        let wrong =
            FILE.replace("['a:1', 'b:2']", "[' ']").replace("security.protocol", "enable.auto.commit");
        let configuration = read(&wrong);
        Kafka::from_section(&configuration.section("kafka"));
        let said = configuration.finish().expect_err("two mistakes").to_string();
        for mistake in ["kafka.brokers (shop.toml:2): names no broker", "enable.auto.commit"] {
            assert!(said.contains(mistake), "{mistake:?} is not in {said}");
        }
        assert!(!said.contains("s3cret"), "{said}");
    }
}
