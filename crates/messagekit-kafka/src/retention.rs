//! How long topics keep their records, as the brokers are set.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use messagekit::{BoxFuture, Error, ErrorKind, RetentionProbe, TopicRetention};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use tokio::sync::oneshot;

use crate::error::{unavailable, unusable_settings};

/// How long an answer may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Asks with a client of its own, which lives as long as the question.
pub(crate) struct BrokerRetention {
    pub(crate) config: ClientConfig,
    pub(crate) topics: Vec<Arc<str>>,
}

impl RetentionProbe for BrokerRetention {
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>> {
        let (config, topics) = (self.config.clone(), self.topics.clone());
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            // A client whose brokers are away may take seconds to end: not on a thread that somebody waits for.
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

/// Returns `None` without settings: the topic is not there, or not for us to see. A topic that is compacted alone keeps the
/// last record of a key for ever, and so does one without a limit. What is deleted by its size is gone sooner than that, if
/// much is written.
fn time(answer: &ConfigResource) -> Option<Option<Duration>> {
    let value = |name| answer.get(name).and_then(|entry| entry.value.as_deref());
    let deletes = value("cleanup.policy")?.split(',').any(|policy| policy.trim() == "delete");
    let limit = value("retention.ms")?.parse().ok().map(Duration::from_millis);
    Some(limit.filter(|_| deletes))
}

fn not_asked() -> Error {
    Error::new(ErrorKind::Unavailable, "nobody could be asked how long topics keep records")
}
