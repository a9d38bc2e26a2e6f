//! Topics of Kafka for tests.

use std::time::{Duration, Instant};

use messagekit_testkit::DEADLINE;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;

use crate::services;

/// After this time a request is repeated: a broker that stood still a moment ago may keep one that it never forwards to its
/// controller.
const REPEAT: Duration = Duration::from_secs(10);

/// Makes a topic with settings, unless it exists, and waits until the broker states it with a leader of each partition.
///
/// The controller answers a creation before the broker has read it from the controller's log; until then a commit for the topic
/// is refused as one for an unknown topic. A starved broker drops out of its own cluster for a moment, and then says that no broker
/// can hold the topic.
pub async fn make_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let new = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    let new = settings.iter().fold(new, |new, (key, value)| new.set(key, value));
    let end = Instant::now() + DEADLINE;
    while let Err(cause) = make(&new).await {
        assert!(Instant::now() < end, "topic {name} is not made: {cause}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn make(new: &NewTopic<'_>) -> Result<(), String> {
    create(new).await?;
    is_led(new.name.to_owned()).await
}

async fn create(new: &NewTopic<'_>) -> Result<(), String> {
    let admin: AdminClient<DefaultClientContext> = client().create().expect("a client can be made");
    let options = AdminOptions::new().operation_timeout(Some(REPEAT)).request_timeout(Some(REPEAT));
    let made = admin.create_topics([new], &options).await.map_err(|error| error.to_string())?;
    match made.into_iter().next() {
        // An answer may be lost, and the request is then repeated.
        Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((_, code))) => Err(code.to_string()),
        None => Err("an answer without the topic".to_owned()),
    }
}

async fn is_led(topic: String) -> Result<(), String> {
    let look = move || {
        let client: BaseConsumer = client().create().expect("a client can be made");
        let stated = client.fetch_metadata(Some(&topic), REPEAT).map_err(|error| error.to_string())?;
        let partitions = stated.topics().first().map_or(&[][..], |topic| topic.partitions());
        let led = !partitions.is_empty() && partitions.iter().all(|partition| partition.leader() >= 0);
        if led { Ok(()) } else { Err("a partition has no leader".to_owned()) }
    };
    tokio::task::spawn_blocking(look).await.expect("it does not panic")
}

fn client() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", services::kafka()).set("log_level", "2");
    config
}
