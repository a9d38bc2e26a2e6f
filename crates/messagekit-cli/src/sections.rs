//! Configuration sections that several programs share.

use messagekit_config::{Secret, Section};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_rabbitmq::RabbitMq;

use crate::databases::Named;
use crate::url::Url;

/// Returns the database that the key `database` of a program's section names, otherwise the only one. `any` means
/// that database sections exist, even if all are invalid.
pub(crate) fn database(mut written: Vec<Named>, any: bool, program: &Section<'_>) -> Option<Url> {
    let wished: Option<String> = program.optional("database");
    written.retain(|database| wished.as_ref().is_none_or(|wished| *wished == database.name));
    match (written.len(), any) {
        (1, _) => return written.pop().map(|database| database.url),
        (_, false) => program.problem("database", "no database: write [[database]] with name and url"),
        _ => program.problem("database", "write the name of one [[database]]"),
    }
    None
}

/// RabbitMQ from its section; an option overrides its URL.
pub(crate) fn rabbitmq(section: &Section<'_>, option: Option<Secret>) -> Option<RabbitMq> {
    match option {
        Some(url) => RabbitMq::from_section_at(section, url),
        None => RabbitMq::from_section(section),
    }
}

/// Kafka from its section; an option overrides its brokers.
pub(crate) fn kafka(section: &Section<'_>, option: Option<Vec<String>>) -> Option<(Kafka, KafkaPublisher)> {
    let kafka = match option {
        Some(brokers) => Kafka::from_section_at(section, brokers),
        None => Kafka::from_section(section),
    }?;
    let publisher = kafka.publisher().map_err(|error| section.problem("properties", error)).ok()?;
    Some((kafka, publisher))
}
