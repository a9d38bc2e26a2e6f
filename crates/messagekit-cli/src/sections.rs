//! Configuration sections that several programs share.

use std::collections::BTreeMap;

use messagekit_config::{Configuration, Secret, Section};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_rabbitmq::RabbitMq;

use crate::databases::Named;
use crate::url::Url;

/// The sections of all programs that may share a file.
const ALL: [&str; 12] = [
    "admin",
    "token",
    "service",
    "bridge",
    "rule",
    "bookkeeper",
    "relay",
    "database",
    "log",
    "topics",
    "kafka",
    "rabbitmq",
];

/// Says which sections a program reads; it passes over those of the others.
pub(crate) fn reads_only(configuration: &Configuration, own: &[&str]) {
    let others: Vec<&str> = ALL.into_iter().filter(|section| !own.contains(section)).collect();
    configuration.passes_over(&others);
}

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
    let (written, ca_file) = (section.secret("url"), section.path("ca_file"));
    let url = option.or(written).or_else(|| section.required_secret("url"));
    let rabbitmq = RabbitMq::new(url?.expose()).map_err(|error| section.problem("url", error)).ok()?;
    match ca_file {
        Some(file) => rabbitmq.ca_file(file).map_err(|error| section.problem("ca_file", error)).ok(),
        None => Some(rabbitmq),
    }
}

/// Kafka from its section; an option overrides its brokers.
pub(crate) fn kafka(section: &Section<'_>, option: Option<Vec<String>>) -> Option<(Kafka, KafkaPublisher)> {
    let written: Option<Vec<String>> = section.optional("brokers");
    let brokers = option.or(written).or_else(|| section.required("brokers"));
    let mut properties: BTreeMap<String, String> = section.or("properties", BTreeMap::new());
    if let Some(client) = section.optional("client_id") {
        properties.insert("client.id".to_owned(), client);
    }
    if let Some(password) = section.secret("password") {
        properties.insert("sasl.password".to_owned(), password.expose().to_owned());
    }
    let mut kafka = Kafka::new(brokers?.join(","));
    for (key, value) in properties {
        kafka = kafka.set(key, value).map_err(|error| section.problem("properties", error)).ok()?;
    }
    let publisher = kafka.publisher().map_err(|error| section.problem("properties", error)).ok()?;
    Some((kafka, publisher))
}
