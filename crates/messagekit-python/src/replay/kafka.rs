//! The log of brokers of Kafka.

use std::collections::HashMap;
use std::sync::Arc;

use messagekit::log::Log;
use messagekit::{Error, ErrorKind};
use messagekit_kafka::Kafka;

/// Properties by which a consumer joins a group and keeps a position, and those of producers, which may share a dictionary with it. They
/// change nothing here.
const OF_OTHERS: &[&str] = &[
    "acks",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "batch.num.messages",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.idempotence",
    "enable.partition.eof",
    "group.id",
    "group.instance.id",
    "group.protocol",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "message.timeout.ms",
    "partitioner",
    "request.required.acks",
    "transactional.id",
];

/// Returns the log of the brokers that properties of librdkafka name.
pub(super) fn log(mut properties: HashMap<String, String>) -> Result<Arc<dyn Log>, Error> {
    let alias = properties.remove("metadata.broker.list");
    let servers = properties.remove("bootstrap.servers").or(alias).ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidConfiguration,
            "config has no bootstrap.servers: name a broker as host:port",
        )
    })?;
    let mut kafka = Kafka::new(servers);
    for (key, value) in properties {
        let is_default = key == "isolation.level" && value == "read_committed";
        if !is_default && !OF_OTHERS.contains(&&*key) {
            kafka = kafka.set(key, value)?;
        }
    }
    Ok(Arc::new(kafka.log()))
}
