//! The settings of the service, read from environment variables.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

use messagekit::adapter::check_topic;
use messagekit::{Error, ErrorKind, Event};
use sqlx::postgres::PgConnectOptions;
use tracing_subscriber::filter::Targets;

use crate::events::{BillIssued, OrderPlaced};

const DATABASE_URL: &str = "MESSAGEKIT_DATABASE_URL";
const KAFKA: &str = "MESSAGEKIT_KAFKA";
const INSTANCE: &str = "MESSAGEKIT_INSTANCE";
const NAME_PREFIX: &str = "MESSAGEKIT_NAME_PREFIX";
const LISTEN: &str = "BILLING_LISTEN";
const LOG: &str = "RUST_LOG";

/// Every variable that the service reads.
pub const SETTINGS: &[&str] = &[DATABASE_URL, KAFKA, INSTANCE, NAME_PREFIX, LISTEN, LOG];

/// The settings of the service.
pub struct Settings {
    pub(crate) database_url: String,
    pub(crate) brokers: String,
    /// The name that this process keeps across restarts, to get its partitions back.
    pub(crate) instance: Option<String>,
    /// The prefix of the names of topics and of the consumer.
    pub(crate) name_prefix: String,
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
        let brokers = environment.required(KAFKA, "HOST:PORT, or several with commas", brokers);
        let instance = environment.optional(INSTANCE, "a name of this process", parsed);
        let name_prefix = environment.optional(NAME_PREFIX, "the begin of a topic's name", name_prefix);
        let listen = environment.optional(LISTEN, "an address such as 127.0.0.1:8081", parsed);
        let log = environment.optional(LOG, "a level, or targets such as info,sqlx=warn", parsed);
        let (database_url, brokers) = environment.finish(database_url.zip(brokers))?;
        let name_prefix = name_prefix.unwrap_or_default();
        let listen = listen.unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, 8081)));
        Ok(Self { database_url, brokers, instance, name_prefix, listen, log })
    }
}

/// Omits the URL, because it holds a password.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("instance", &self.instance)
            .field("name_prefix", &self.name_prefix)
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

fn name_prefix(text: &str) -> Option<String> {
    let is_topic = |topic| check_topic(&format!("{text}{topic}")).is_ok();
    [OrderPlaced::TOPIC, BillIssued::TOPIC].into_iter().all(is_topic).then(|| text.to_owned())
}

fn database_url(text: &str) -> Option<String> {
    let postgres = text.starts_with("postgres://") || text.starts_with("postgresql://");
    (postgres && text.parse::<PgConnectOptions>().is_ok()).then(|| text.to_owned())
}

fn brokers(text: &str) -> Option<String> {
    let named = |broker: &str| {
        let (host, port) = broker.trim().rsplit_once(':')?;
        port.parse::<NonZeroU16>().ok().filter(|_| !host.is_empty())
    };
    text.split(',').all(|broker| named(broker).is_some()).then(|| text.to_owned())
}
