//! The retention of topics, from the brokers' settings.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, RetentionProbe, TopicRetention};
use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio::sync::oneshot;

use crate::error::{unavailable, unusable_settings};

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Queries with its own client, which is dropped after the answer.
pub(crate) struct BrokerRetention {
    pub(crate) config: ClientConfig,
    pub(crate) topics: Vec<Arc<str>>,
}

impl RetentionProbe for BrokerRetention {
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>> {
        let (config, topics) = (self.config.clone(), self.topics.clone());
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // A client without reachable brokers may take seconds to end, so the caller must not wait for it.
            thread::Builder::new()
                .name("kafka-retention".to_owned())
                .spawn(move || drop(answer.send(ask(&config, &topics))))
                .map_err(|error| not_asked().caused_by(error))?;
            answered.await.unwrap_or_else(|_| Err(not_asked()))
        })
    }
}

fn ask(config: &ClientConfig, topics: &[Arc<str>]) -> Result<Vec<TopicRetention>, Error> {
    let admin: AdminClient<DefaultClientContext> =
        config.create().map_err(|error| unusable_settings("client", error))?;
    let asked: Vec<_> = topics.iter().map(|topic| ResourceSpecifier::Topic(topic)).collect();
    let options = AdminOptions::new().request_timeout(Some(DEADLINE));
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let runtime = runtime.map_err(|error| not_asked().caused_by(error))?;
    let answers = runtime.block_on(admin.describe_configs(&asked, &options));
    let answers = answers.map_err(|error| unavailable("no broker said how long it keeps records", error))?;
    let mut kept = Vec::new();
    for (topic, answer) in topics.iter().zip(answers) {
        let answer = answer.map_err(|code| {
            let text = "the broker does not tell how long a topic keeps its records";
            Error::new(ErrorKind::Other, text).with("topic", topic).with("code", code)
        })?;
        kept.extend(time(&answer).map(|time| TopicRetention { topic: Arc::clone(topic), time }));
    }
    Ok(kept)
}

/// Returns `None` without settings: the topic does not exist or is not visible to this client. A topic with
/// compaction only keeps the last record of a key without a limit, and so does one without a time limit. A size limit
/// may delete records sooner.
fn time(answer: &ConfigResource) -> Option<Option<Duration>> {
    let value = |name| answer.get(name).and_then(|entry| entry.value.as_deref());
    let deletes = value("cleanup.policy")?.split(',').any(|policy| policy.trim() == "delete");
    let limit = value("retention.ms")?.parse().ok().map(Duration::from_millis);
    Some(limit.filter(|_| deletes))
}

fn not_asked() -> Error {
    Error::new(ErrorKind::Unavailable, "nobody could be asked how long topics keep records")
}
