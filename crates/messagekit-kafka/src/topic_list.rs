//! The topics of a cluster.

use std::thread;
use std::time::Duration;

use messagekit::adapter::{BoxFuture, TopicList};
use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, DefaultConsumerContext};
use tokio::sync::oneshot;

use crate::error::{unavailable, unusable_settings};

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// Queries with its own client, which is dropped after the answer.
pub(crate) struct BrokerTopics(pub(crate) ClientConfig);

impl TopicList for BrokerTopics {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let config = self.0.clone();
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let not_asked = || Error::new(ErrorKind::Unavailable, "the topics were not listed");
            // The call blocks, and a client without reachable brokers may take seconds to end.
            thread::Builder::new()
                .name("kafka-topics".to_owned())
                .spawn(move || drop(answer.send(ask(&config))))
                .map_err(|error| not_asked().caused_by(error))?;
            answered.await.unwrap_or_else(|_| Err(not_asked()))
        })
    }
}

fn ask(config: &ClientConfig) -> Result<Vec<String>, Error> {
    let client: BaseConsumer<DefaultConsumerContext> =
        config.create().map_err(|error| unusable_settings("client", error))?;
    // All topics: the question for a single one may create it.
    let metadata = client.fetch_metadata(None, DEADLINE);
    let metadata = metadata.map_err(|error| unavailable("the topics were not listed", error))?;
    let topics = metadata.topics().iter().filter(|topic| !topic.partitions().is_empty());
    Ok(topics.map(|topic| topic.name().to_owned()).collect())
}
