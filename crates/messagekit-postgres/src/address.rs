//! Reads the URL of a database, and refuses with its repair what the driver would not do as the URL says.

use std::error::Error as StdError;
use std::net::Ipv6Addr;
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use sqlx::postgres::PgConnectOptions;

/// The time limit for opening a connection, and for a transaction's wait for one, unless the URL has another one.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// What a URL says.
pub(crate) struct Address {
    pub(crate) options: PgConnectOptions,
    /// How long a connection may take to open.
    pub(crate) limit: Duration,
}

/// The longest `connect_timeout`, in seconds.
const LONGEST: u64 = 600;

/// Parameters that the driver does not know: the words that say what it does anyway, and the cure for another word. The driver would
/// drop each with a line in the log.
const WORDS: [(&str, &[&str], &str); 4] = [
    (
        "channel_binding",
        &["prefer", "disable"],
        "the driver cannot bind a password to its TLS channel: leave it out and write sslmode=verify-full, which checks the server's certificate",
    ),
    (
        "target_session_attrs",
        &["any", "read-write", "primary"],
        "a store writes: give the URL of the primary, and write read-write or leave it out",
    ),
    (
        "gssencmode",
        &["prefer", "disable"],
        "the driver has no encryption by GSSAPI: leave it out and write sslmode=verify-full",
    ),
    (
        "pgbouncer",
        &["false"],
        "a pooler that gives each transaction another session cannot serve a store: leave it out and give the URL of PostgreSQL itself, or of a pooler of whole sessions",
    ),
];

impl Address {
    /// Reads a URL. Errors never repeat a value of it: it may be a password under a misspelt name.
    pub(crate) fn read(url: &str) -> Result<Self, Error> {
        let scheme = ["postgres://", "postgresql://"].into_iter().find(|scheme| url.starts_with(scheme));
        let Some(scheme) = scheme else {
            return Err(wrong(
                "database URL does not begin with postgres://: write postgres://user:password@host:port/database",
            ));
        };
        let rest = &url[scheme.len()..];
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_at(place.find('/').unwrap_or(place.len()));
        let (user, server) = authority.split_at(authority.rfind('@').map_or(0, |at| at + 1));
        let (server, host) = without_brackets(server)?;
        let (parameters, limit) = parameters(query)?;
        let is_list = |pair: &&str| {
            let value = ["host=", "hostaddr=", "port="].iter().find_map(|name| pair.strip_prefix(name));
            value.is_some_and(|value| [",", "%2C", "%2c"].iter().any(|comma| value.contains(comma)))
        };
        if server.contains(',') || parameters.iter().any(is_list) {
            return Err(wrong(
                "database URL names several hosts, and the driver tries one: write the primary's, or a name that always leads to it",
            ));
        }
        // A socket is a parameter, and the driver wants a host beside the user nevertheless.
        let has_host = parameters.iter().any(|pair| pair.starts_with("host"));
        let server = if server.is_empty() && has_host { "localhost".to_owned() } else { server };
        let host = host.map(|host| format!("host={host}"));
        let query: Vec<&str> = host.as_deref().into_iter().chain(parameters).collect();
        let url = format!("{scheme}{user}{server}{database}?{}", query.join("&"));
        let options = url.parse().map_err(|error: sqlx::Error| unreadable().caused_by(innermost(error)))?;
        Ok(Self { options, limit })
    }
}

fn wrong(text: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidConfiguration, text)
}

fn unreadable() -> Error {
    wrong(
        "database URL cannot be read: write postgres://user:password@host:port/database, with %-escapes in user and password",
    )
}

/// Returns a server with another host in place of an address of IPv6, and that address: the driver would look for a host with the
/// brackets in its name.
fn without_brackets(server: &str) -> Result<(String, Option<&str>), Error> {
    let Some(bracketed) = server.strip_prefix('[') else { return Ok((server.to_owned(), None)) };
    let (host, port) = bracketed.split_once(']').ok_or_else(unreadable)?;
    let address = host.split('%').next().unwrap_or(host);
    address.parse::<Ipv6Addr>().map_err(|_| unreadable())?;
    Ok((format!("localhost{port}"), Some(host)))
}

/// Returns the parameters for the driver, and the time limit of a connection.
fn parameters(query: &str) -> Result<(Vec<&str>, Duration), Error> {
    let (mut kept, mut limit) = (Vec::new(), LIMIT);
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if name == "connect_timeout" {
            limit = seconds(value)?;
        } else if let Some((name, words, cure)) = WORDS.into_iter().find(|(known, ..)| *known == name) {
            if !words.contains(&value) {
                return Err(wrong(format!(
                    "database URL has {name}, and not as {}: {cure}",
                    words.join(" or ")
                )));
            }
        } else if is_known(name) {
            kept.push(pair);
        } else {
            return Err(wrong(format!(
                "database URL has the parameter {name:?}, which is not known: correct its name or leave it out"
            )));
        }
    }
    Ok((kept, limit))
}

fn seconds(value: &str) -> Result<Duration, Error> {
    let seconds = value.parse().ok().filter(|seconds| (1..=LONGEST).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        wrong(format!(
            "database URL has a connect_timeout that is no number of seconds from 1 to {LONGEST}: correct it or leave it out"
        ))
    })
}

/// Returns a host as a URL has it.
pub(crate) fn shown_host(host: &str) -> String {
    if host.contains(':') && !host.starts_with(['[', '/']) { format!("[{host}]") } else { host.to_owned() }
}

/// Unwraps the driver's error: each layer would repeat that it concerns the configuration.
fn innermost(error: sqlx::Error) -> Box<dyn StdError + Send + Sync> {
    match error {
        sqlx::Error::Configuration(inner) => match inner.downcast() {
            Ok(error) => innermost(*error),
            Err(inner) => inner,
        },
        other => Box::new(other),
    }
}

/// Returns whether the driver knows a parameter of the URL.
fn is_known(name: &str) -> bool {
    const KNOWN: [&str; 17] = [
        "sslmode",
        "ssl-mode",
        "sslrootcert",
        "ssl-root-cert",
        "ssl-ca",
        "sslcert",
        "ssl-cert",
        "sslkey",
        "ssl-key",
        "statement-cache-capacity",
        "host",
        "hostaddr",
        "port",
        "dbname",
        "user",
        "password",
        "application_name",
    ];
    let is_option =
        |name: &str| name == "options" || name.starts_with("options[") || name.starts_with("options%5B");
    KNOWN.contains(&name) || is_option(name)
}
