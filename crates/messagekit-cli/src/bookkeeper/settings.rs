//! The settings of `messagekit bookkeeper`.

use std::fmt::Display;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use messagekit::adapter::check_topic;
use messagekit::{Error, chain};
use messagekit_bookkeeper::Bookkeeper;
use messagekit_config::{Configuration, Section};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_rabbitmq::{RabbitMq, check_queue};

use crate::url::Url;
use crate::{databases, sections};

/// The checked settings.
pub(super) struct Settings {
    pub(super) name: String,
    pub(super) listen: SocketAddr,
    pub(super) database: Url,
    pub(super) queues: Option<(RabbitMq, Vec<String>)>,
    pub(super) topics: Option<(Kafka, KafkaPublisher, Vec<String>)>,
}

pub(super) fn read(file: Option<&Path>) -> Result<Settings, Error> {
    let configuration = Configuration::load(file)?;
    configuration.reads_only(&["bookkeeper", "database", "kafka", "rabbitmq"]);
    let section = configuration.section("bookkeeper");
    let name = section.or("name", "bookkeeper".to_owned());
    let listen = section.or("listen", SocketAddr::from((Ipv4Addr::LOCALHOST, 8091)));
    let queues: Vec<String> = section.or("queues", Vec::new());
    let topics: Vec<String> = section.or("topics", Vec::new());
    if queues.is_empty() && topics.is_empty() {
        section.problem("queues", "names no queue, and topics no topic: there is nothing to read");
    }
    names(&section, "queues", &queues, check_queue);
    names(&section, "topics", &topics, check_topic);
    if let Err(error) = Bookkeeper::check_name(&name) {
        section.problem("name", chain(&error));
    }
    let any_database = !configuration.sections("database").is_empty();
    let database = sections::database(databases::written(&configuration), any_database, &section);
    // An unused section may belong to another program.
    let queues = match queues.is_empty() {
        true => none(&configuration, "rabbitmq"),
        // A dead-letter queue has no dead-letter exchange of its own.
        false => sections::rabbitmq(&configuration.section("rabbitmq"), None)
            .map(|rabbitmq| (rabbitmq.allow_lossy_queues(), queues)),
    };
    let topics = match topics.is_empty() {
        true => none(&configuration, "kafka"),
        false => sections::kafka(&configuration.section("kafka"), None)
            .map(|(kafka, publisher)| (kafka, publisher, topics)),
    };
    let mut problems = configuration.problems();
    problems.extend(crate::log::problem().map(|error| chain(&error)));
    messagekit_config::refuse(&problems)?;
    let database = database.expect("without a database there was a problem");
    Ok(Settings { name, listen, database, queues, topics })
}

/// Rejects names that can never be read.
fn names<E: Display>(section: &Section<'_>, key: &str, names: &[String], check: fn(&str) -> Result<(), E>) {
    for (index, name) in names.iter().enumerate() {
        if let Err(error) = check(name) {
            section.problem(key, error);
        } else if names[..index].contains(name) {
            section.problem(key, format!("{name} is named twice"));
        }
    }
}

fn none<T>(configuration: &Configuration, section: &str) -> Option<T> {
    configuration.passes_over(&[section]);
    None
}
