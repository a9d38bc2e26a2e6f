//! The connector's settings.

use messagekit::{Error, ErrorKind};
use messagekit_postgres::cdc::{Capture, PASSWORD_VARIABLE, ROLE};
use serde_json::{Map, Value, json};

use super::target::Source;
use crate::output::print;

const TEMPLATE: &str = include_str!("outbox-connector.json");

/// The worker's access to the database.
#[derive(Debug, clap::Args)]
pub(crate) struct Reach {
    /// The address at which the worker reaches the database, if it differs from the URL
    #[arg(long, value_name = "HOST:PORT")]
    database_host: Option<String>,
    /// The variable of the worker's environment with the password of messagekit_cdc
    #[arg(long, value_name = "NAME", default_value = PASSWORD_VARIABLE)]
    password_variable: String,
}

/// Print the connector's settings.
#[derive(Debug, clap::Args)]
pub(crate) struct Render {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    reach: Reach,
}

impl Render {
    pub(crate) fn run(self) -> Result<(), Error> {
        self.source.name()?;
        let settings = Value::Object(settings(&self.source.capture()?, &self.reach)?);
        print(format_args!("{settings:#}"))
    }
}

/// Fills the template in.
pub(crate) fn settings(capture: &Capture, reach: &Reach) -> Result<Map<String, Value>, Error> {
    let (host, port) = match &reach.database_host {
        Some(place) => host_and_port(place)?,
        None => (capture.host.clone(), capture.port),
    };
    let variable = &reach.password_variable;
    if variable.is_empty() || !variable.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        // The error must not repeat the value: a user may have written a password there.
        let text = "not the name of a variable: write A-Z 0-9 _ after --password-variable, never a password";
        return Err(Error::new(ErrorKind::InvalidConfiguration, text));
    }
    let mut settings: Map<String, Value> = serde_json::from_str(TEMPLATE).expect("the template is an object");
    let filled = [
        ("database.hostname", json!(host)),
        ("database.port", json!(port.to_string())),
        ("database.dbname", json!(capture.database)),
        ("database.user", json!(ROLE)),
        ("database.password", json!(format!("${{env:{variable}}}"))),
        ("database.sslmode", json!(capture.ssl_mode)),
        ("topic.prefix", json!(capture.slot)),
        ("slot.name", json!(capture.slot)),
        ("publication.name", json!(capture.publication)),
        ("table.include.list", json!(capture.table())),
    ];
    for (name, value) in filled {
        settings.insert(name.to_owned(), value);
    }
    Ok(settings)
}

fn host_and_port(place: &str) -> Result<(String, u16), Error> {
    let parts = place.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
    match parts {
        Some((host, Ok(port))) if !host.is_empty() && !host.contains(['/', '@']) => {
            Ok((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port))
        }
        _ => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "not a place of a database: write HOST:PORT after --database-host",
        )),
    }
}
