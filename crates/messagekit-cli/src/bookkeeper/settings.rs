//! What `messagekit bookkeeper` is told.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use messagekit::Error;
use messagekit::config::{Configuration, Secret};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_rabbitmq::RabbitMq;

use crate::sections;

/// Sections of the programs that may share the file.
const ELSEWHERE: [&str; 6] = ["admin", "token", "bridge", "relay", "rule", "log"];

/// What was told, read and checked.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) database: Secret,
    pub(super) queues: Option<(RabbitMq, Vec<String>)>,
    pub(super) topics: Option<(Kafka, KafkaPublisher, Vec<String>)>,
}

pub(super) fn read(file: Option<&Path>) -> Result<Settings, Error> {
    let configuration = Configuration::load(file)?;
    configuration.passes_over(&ELSEWHERE);
    let section = configuration.section("bookkeeper");
    let name = section.or("name", "bookkeeper".to_owned());
    let listen = section.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8091)));
    let queues: Vec<String> = section.or("queues", Vec::new());
    let topics: Vec<String> = section.or("topics", Vec::new());
    if queues.is_empty() && topics.is_empty() {
        section.problem("queues", "names no queue, and topics no topic: there is nothing to read");
    }
    let database = sections::database(&configuration.sections("database"), &section);
    // A section that is not needed may be there for another program.
    let queues = match queues.is_empty() {
        true => none(&configuration, "rabbitmq"),
        // A dead-letter queue has no dead-letter exchange of its own.
        false => sections::rabbitmq(&configuration.section("rabbitmq"), None)
            .map(|rabbitmq| (rabbitmq.any_queue(), queues)),
    };
    let topics = match topics.is_empty() {
        true => none(&configuration, "kafka"),
        false => sections::kafka(&configuration.section("kafka"), None)
            .map(|(kafka, publisher)| (kafka, publisher, topics)),
    };
    configuration.finish()?;
    // Without a database there was a problem.
    let database = database.unwrap_or_else(|| Secret::new(""));
    Ok(Settings { name, listen, database, queues, topics })
}

fn none<T>(configuration: &Configuration, section: &str) -> Option<T> {
    configuration.passes_over(&[section]);
    None
}
