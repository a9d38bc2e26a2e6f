//! The settings of the service, read from environment variables.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::str::FromStr;

use messagekit::{Error, ErrorKind};
use messagekit_rabbitmq::RabbitMq;
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::filter::Targets;

const DATABASE_URL: &str = "MESSAGEKIT_DATABASE_URL";
const RABBITMQ: &str = "MESSAGEKIT_RABBITMQ";
const LISTEN: &str = "SHIPPING_LISTEN";
const LOG: &str = "RUST_LOG";

/// Every variable that the service reads.
pub const SETTINGS: &[&str] = &[DATABASE_URL, RABBITMQ, LISTEN, LOG];

/// The settings of the service.
pub struct Settings {
    pub(crate) database_url: String,
    pub(crate) rabbitmq: RabbitMq,
    /// The address for health and metrics.
    pub(crate) listen: SocketAddr,
    pub(crate) log: Option<Targets>,
}

impl Settings {
    /// Reads the variables named in [`SETTINGS`]. An empty variable counts as not set.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] with everything that is missing or wrong, in one line and without any value.
    /// A retry is useless.
    pub fn from_env() -> Result<Self, Error> {
        let mut environment = Environment::default();
        let database_url =
            environment.required(DATABASE_URL, "postgres://USER:PASSWORD@HOST/DATABASE", database_url);
        let form = "amqp://USER:PASSWORD@HOST:PORT/VHOST, or amqps://…";
        let rabbitmq = environment.required(RABBITMQ, form, |text| RabbitMq::new(text).ok());
        let listen = environment.optional(LISTEN, "an address such as 127.0.0.1:8082", parsed);
        let log = environment.optional(LOG, "a level, or targets such as info,sqlx=warn", parsed);
        let (database_url, rabbitmq) = environment.finish(database_url.zip(rabbitmq))?;
        let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8082)));
        Ok(Self { database_url, rabbitmq, listen, log })
    }
}

/// Omits URLs, because they hold passwords.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("rabbitmq", &self.rabbitmq)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

/// Reads variables and collects their errors.
#[derive(Default)]
struct Environment {
    problems: Vec<String>,
}

impl Environment {
    fn required<T>(&mut self, key: &str, form: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        if given(key).is_none() {
            self.problems.push(format!("{key} is not set, it takes {form}"));
        }
        self.optional(key, form, parse)
    }

    fn optional<T>(&mut self, key: &str, form: &str, parse: fn(&str) -> Option<T>) -> Option<T> {
        let value = given(key)?.ok().and_then(|text| parse(&text));
        if value.is_none() {
            self.problems.push(format!("{key} is wrong, it takes {form}"));
        }
        value
    }

    fn finish<T>(self, required: Option<T>) -> Result<T, Error> {
        let problems = self.problems.join("; ");
        required
            .filter(|_| problems.is_empty())
            .ok_or_else(|| Error::new(ErrorKind::InvalidConfiguration, problems))
    }
}

/// A value that is not UTF-8 counts as set and wrong.
fn given(key: &str) -> Option<Result<String, OsString>> {
    std::env::var_os(key).filter(|value| !value.is_empty()).map(OsString::into_string)
}

fn parsed<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn database_url(text: &str) -> Option<String> {
    let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    (postgres && text.parse::<PgConnectOptions>().is_ok()).then(|| text.to_owned())
}
