//! What `messagekit doctor` examines.

use std::path::PathBuf;
use std::sync::Arc;

use messagekit::operations::Doctor;
use messagekit::{Error, ErrorKind, chain};
use messagekit_config::{Configuration, Secret};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::RabbitMqDoctor;
use messagekit_sqlite::FileDoctor;

use crate::database::{Kind, URL_VARIABLE};
use crate::databases::{self, Named};
use crate::sections;
use crate::url::Url;

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The configuration, a TOML file with [[database]], [kafka] and [rabbitmq]; options override it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A database, for example sqlite:shop.db or postgres://me@localhost/shop; may be given several times
    #[arg(long = "database", value_name = "URL", env = URL_VARIABLE, hide_env_values = true)]
    databases: Vec<Url>,
    /// Kafka: comma-separated broker addresses
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    kafka: Option<Vec<String>>,
    /// Only this topic of Kafka; may be given several times [default: every topic]
    #[arg(long = "topic", value_name = "TOPIC")]
    topics: Vec<String>,
    /// RabbitMQ, for example amqps://me@rabbit/shop
    #[arg(long, value_name = "URL")]
    rabbitmq: Option<Url>,
    /// The management interface of RabbitMQ [default: port 15672 of its host, or 15671 for amqps]
    #[arg(long, value_name = "URL")]
    management: Option<Url>,
}

/// A database or broker under its name in the report.
pub(super) type Service = (String, Arc<dyn Doctor>);

/// The services under their names.
pub(super) struct Settings {
    pub(super) databases: Vec<Service>,
    pub(super) kafka: Option<Kafka>,
    pub(super) topics: Vec<String>,
    pub(super) rabbitmq: Option<RabbitMqDoctor>,
}

impl Options {
    /// Reads the configuration under the options; reports at once every mistake. Nothing is contacted.
    pub(super) fn settings(self) -> Result<Settings, Error> {
        let configuration = Configuration::load(self.config.as_deref())?;
        configuration.reads_only(&["database", "kafka", "rabbitmq"]);
        let written = databases::written(&configuration);
        let section = configuration.section("kafka");
        let wants_kafka = self.kafka.is_some() || section.is_written();
        let kafka = wants_kafka.then(|| sections::kafka(&section, self.kafka)).flatten();
        let section = configuration.section("rabbitmq");
        let wants_rabbitmq = self.rabbitmq.is_some() || section.is_written();
        let option = self.rabbitmq.map(|url| Secret::new(&*url));
        let rabbitmq = wants_rabbitmq.then(|| sections::rabbitmq(&section, option)).flatten();
        let mut problems = configuration.problems();
        let named = match self.databases.is_empty() {
            true => written,
            false => self.databases.iter().filter_map(|url| database(url, &mut problems)).collect(),
        };
        let rabbitmq = rabbitmq.and_then(|rabbitmq| {
            let doctor = rabbitmq.doctor();
            let Some(url) = &self.management else { return Some(doctor) };
            doctor.management(url).map_err(|error| problems.push(error.to_string())).ok()
        });
        if self.management.is_some() && !wants_rabbitmq {
            problems.push("--management is of use only with --rabbitmq".to_owned());
        }
        if !self.topics.is_empty() && !wants_kafka {
            problems.push("--topic is of use only with --kafka".to_owned());
        }
        if named.is_empty() && !wants_kafka && !wants_rabbitmq && problems.is_empty() {
            problems.push(
                "nothing to examine: write --database URL, --kafka SERVERS or --rabbitmq URL".to_owned(),
            );
        }
        let databases = named.into_iter().filter_map(|named| examiner(named, &mut problems)).collect();
        messagekit_config::refuse(&problems)?;
        Ok(Settings { databases, kafka: kafka.map(|(kafka, _)| kafka), topics: self.topics, rabbitmq })
    }
}

fn database(url: &Url, problems: &mut Vec<String>) -> Option<Named> {
    Named::of(None, url.clone()).map_err(|error| problems.push(chain(&error))).ok()
}

/// Opens nothing: a database that is missing, old or away is a finding.
fn examiner(named: Named, problems: &mut Vec<String>) -> Option<Service> {
    let made: Result<Service, Error> = match Kind::of(&named.url) {
        Ok(Kind::Sqlite(path)) => Ok((named.name, Arc::new(FileDoctor::new(path)))),
        Ok(Kind::Postgres(url)) => match PostgresStore::lazy(url) {
            Ok(store) => Ok((named.name, Arc::new(store))),
            Err(error) => Err(error.into()),
        },
        Err(error) => Err(error),
    };
    made.map_err(|error: Error| {
        debug_assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        problems.push(chain(&error));
    })
    .ok()
}
