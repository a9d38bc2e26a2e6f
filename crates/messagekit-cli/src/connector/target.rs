//! The outbox and the worker of a command.

use messagekit::{Error, ErrorKind};
use messagekit_postgres::SchemaName;
use messagekit_postgres::cdc::Capture;

use super::worker::Worker;
use crate::database::{Database, Kind};
use crate::url::Url;

/// The options of every connector command.
#[derive(Debug, clap::Args)]
pub(crate) struct Source {
    #[command(flatten)]
    database: Database,
    /// The connector's name [default: messagekit-DATABASE]
    #[arg(long)]
    name: Option<String>,
}

impl Source {
    /// Returns the database's URL.
    pub(crate) fn url(&self) -> Result<&str, Error> {
        match self.database.kind()? {
            Kind::Postgres(url) => Ok(url),
            Kind::Sqlite(_) => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a SQLite file has no connector: its own log delivers; write postgres://… after --database",
            )),
        }
    }

    pub(crate) fn capture(&self) -> Result<Capture, Error> {
        Ok(Capture::of(self.url()?, &SchemaName::default())?)
    }

    pub(crate) fn name(&self) -> Result<String, Error> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => format!("messagekit-{}", self.capture()?.database),
        };
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !name.is_empty() && name.bytes().all(plain) {
            return Ok(name);
        }
        Err(Error::new(
            ErrorKind::InvalidConfiguration,
            format!("connector name {name:?} is not of a-z A-Z 0-9 . _ -: choose one with --name"),
        ))
    }
}

/// The environment variable with the worker's URL, used without the option.
pub(crate) const URL_VARIABLE: &str = "MESSAGEKIT_CONNECT_URL";

/// The option of commands that contact the worker.
#[derive(Debug, clap::Args)]
pub(crate) struct Connect {
    /// The worker of Kafka Connect, for example http://127.0.0.1:8083
    #[arg(long = "connect", value_name = "URL", env = URL_VARIABLE, hide_env_values = true)]
    connect: Url,
}

impl Connect {
    pub(crate) fn worker(&self) -> Result<Worker, Error> {
        Worker::at(&self.connect)
    }
}
