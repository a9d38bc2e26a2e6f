//! Kafka as seen by an administrator and a foreign client.

use std::time::Duration;

use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const ADMIN: Duration = Duration::from_secs(60);

/// Writes one record as a connector does.
pub(crate) async fn write(topic: &str, headers: Vec<(&'static str, Vec<u8>)>, payload: &'static [u8]) {
    let topic = topic.to_owned();
    tokio::task::spawn_blocking(move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(payload).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ADMIN).unwrap();
    })
    .await
    .unwrap();
}
