//! From where topics are read.

use std::sync::Arc;

use messagekit::log::Log;
use messagekit::{Error, ErrorKind};
use messagekit_config::Configuration;
use messagekit_kafka::KafkaLog;

use crate::database::{Database, Operations, URL_VARIABLE};
use crate::sections;
use crate::url::Url;

/// The options that say it.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct Logs {
    /// The database with the topics, for example sqlite:shop.db or postgres://me@localhost/shop
    #[arg(long, value_name = "URL", env = URL_VARIABLE, hide_env_values = true)]
    database: Option<Url>,
    /// Read from Kafka: comma-separated broker addresses; further settings are those of the section [kafka]
    #[arg(long, value_name = "SERVERS", value_delimiter = ',')]
    kafka: Option<Vec<String>>,
}

/// What is open.
pub(in crate::replay) enum Open {
    Database(Operations),
    Kafka(KafkaLog),
}

impl Logs {
    pub(super) async fn open(&self) -> Result<Open, Error> {
        let wrong = |text: &'static str| Error::new(ErrorKind::InvalidConfiguration, text);
        match (&self.database, &self.kafka) {
            (Some(url), None) => Database::at(url.clone()).open().await.map(Open::Database),
            // The variable may be there for other commands.
            (Some(url), Some(_)) if std::env::var(URL_VARIABLE).as_deref() != Ok(&**url) => Err(wrong(
                "topics are read from a database or from Kafka: write one of --database and --kafka",
            )),
            (_, Some(brokers)) => kafka(brokers.clone()).map(Open::Kafka),
            (None, None) => Err(wrong("nothing to read from: write --database URL or --kafka SERVERS")),
        }
    }
}

impl Open {
    /// Returns the log that has a topic.
    pub(in crate::replay) fn log(&self, _topic: &str) -> Arc<dyn Log> {
        match self {
            Self::Database(Operations::Sqlite(store)) => Arc::new(store.clone()),
            Self::Database(Operations::Postgres(store)) => Arc::new(store.clone()),
            Self::Kafka(log) => Arc::new(log.clone()),
        }
    }

    pub(in crate::replay) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Database(database) => database.close().await,
            Self::Kafka(_) => Ok(()),
        }
    }
}

fn kafka(brokers: Vec<String>) -> Result<KafkaLog, Error> {
    let configuration = Configuration::load(None)?;
    configuration.reads_only(&["kafka"]);
    let kafka = sections::kafka(&configuration.section("kafka"), Some(brokers));
    configuration.complete(kafka.map(|(kafka, _)| kafka.log()))
}
