//! What the brokers say of topics.

use std::collections::BTreeMap;
use std::time::Duration;

use messagekit::Error;
use rdkafka::ClientConfig;
use rdkafka::admin::ConfigResource;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};

use crate::error::{unavailable, unusable_settings};
use crate::topic_settings;

/// The time limit of one answer of the brokers.
pub(super) const DEADLINE: Duration = Duration::from_secs(10);

/// The topics of a cluster that are examined.
#[derive(Clone, Debug, Default)]
pub(super) struct Cluster {
    pub(super) brokers: usize,
    pub(super) topics: Vec<Topic>,
    /// Named topics that do not exist.
    pub(super) missing: Vec<String>,
}

/// A topic and its settings.
#[derive(Clone, Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: Vec<i32>,
    /// The smallest number of replicas of a partition.
    pub(super) replicas: usize,
    pub(super) settings: Settings,
}

/// The settings of a topic, or why the broker does not say them.
pub(super) type Settings = Result<BTreeMap<String, String>, String>;

impl Cluster {
    pub(super) fn read(config: &ClientConfig, named: &[String]) -> Result<Self, Error> {
        let mut cluster = Self::topics(config, named)?;
        cluster.settings(config)?;
        Ok(cluster)
    }

    fn topics(config: &ClientConfig, named: &[String]) -> Result<Self, Error> {
        let client: BaseConsumer<DefaultConsumerContext> =
            config.create().map_err(|error| unusable_settings("client", error))?;
        // All topics: the question for a single one may create it.
        let metadata = client.fetch_metadata(None, DEADLINE);
        let metadata = metadata.map_err(|error| unavailable("the topics were not listed", error))?;
        let is_meant = |name: &str| match named.is_empty() {
            true => !name.starts_with("__"),
            false => named.iter().any(|meant| meant == name),
        };
        let topics = metadata.topics().iter().filter(|topic| is_meant(topic.name())).map(|topic| {
            let replicas = topic.partitions().iter().map(|partition| partition.replicas().len()).min();
            Topic {
                name: topic.name().to_owned(),
                partitions: topic.partitions().iter().map(|partition| partition.id()).collect(),
                replicas: replicas.unwrap_or(0),
                settings: Err("nobody asked".to_owned()),
            }
        });
        let topics: Vec<Topic> = topics.filter(|topic| !topic.partitions.is_empty()).collect();
        let exists = |name: &&String| topics.iter().any(|topic| topic.name == **name);
        let missing = named.iter().filter(|name| !exists(name)).cloned().collect();
        Ok(Self { brokers: metadata.brokers().len(), topics, missing })
    }

    fn settings(&mut self, config: &ClientConfig) -> Result<(), Error> {
        if self.topics.is_empty() {
            return Ok(());
        }
        let answers = topic_settings::ask(config, self.topics.iter().map(|topic| topic.name.as_str()))?;
        for (topic, answer) in self.topics.iter_mut().zip(answers) {
            topic.settings = match answer {
                Ok(answer) => Ok(values(answer)),
                Err(code) => Err(format!("the broker does not tell the settings of {}: {code}", topic.name)),
            };
        }
        Ok(())
    }
}

fn values(answer: ConfigResource) -> BTreeMap<String, String> {
    answer.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect()
}
