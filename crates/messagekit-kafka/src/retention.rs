//! The retention of topics, from the brokers' settings.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, RetentionProbe, TopicRetention};
use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::admin::ConfigResource;

use crate::topic_settings;

/// Queries with its own client, which is dropped after the answer.
pub(crate) struct BrokerRetention {
    pub(crate) config: ClientConfig,
    pub(crate) topics: Vec<Arc<str>>,
}

impl RetentionProbe for BrokerRetention {
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>> {
        let (config, topics) = (self.config.clone(), self.topics.clone());
        Box::pin(async move {
            let answers = topic_settings::of(config, topics.clone()).await?;
            let mut kept = Vec::new();
            for (topic, answer) in topics.iter().zip(answers) {
                let answer = answer.map_err(|code| {
                    let text = "the broker does not tell how long a topic keeps its records";
                    Error::new(ErrorKind::Other, text).with("topic", topic).with("code", code)
                })?;
                kept.extend(time(&answer).map(|time| TopicRetention { topic: Arc::clone(topic), time }));
            }
            Ok(kept)
        })
    }
}

/// Returns `None` without settings: the topic does not exist or is not visible to this client. A topic with
/// compaction only keeps the last record of a key without a limit, and so does one without a time limit. A size limit
/// may delete records sooner.
fn time(answer: &ConfigResource) -> Option<Option<Duration>> {
    let policies = topic_settings::value(answer, "cleanup.policy")?;
    let deletes = policies.split(',').any(|policy| policy.trim() == "delete");
    let limit = topic_settings::value(answer, "retention.ms")?.parse().ok().map(Duration::from_millis);
    Some(limit.filter(|_| deletes))
}
