//! The database that is examined, as repairs name it.

use std::time::Duration;

use messagekit::operations::Repair;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::cdc::Capture;
use crate::{PostgresStore, SchemaName};

/// Everything but the unreserved characters of RFC 3986, section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The database, its names and its address.
pub(super) struct Target {
    pub(super) options: PgConnectOptions,
    /// How long opening a connection may take.
    pub(super) connecting: Duration,
    pub(super) schema: SchemaName,
    pub(super) capture: Capture,
    /// The name of the database.
    pub(super) name: String,
    /// A URL without a password.
    url: String,
}

impl Target {
    pub(super) fn of(store: &PostgresStore) -> Self {
        let options = store.pool().connect_options().as_ref().clone();
        let capture = Capture::by(&options, store.schema());
        let (name, url) = (capture.database.clone(), url(&options, &capture));
        let connecting = store.pool().options().get_acquire_timeout();
        Self { options, connecting, schema: store.schema().clone(), capture, name, url }
    }

    /// Returns a command of the command line on this database.
    pub(super) fn command(&self, words: &[&str]) -> Repair {
        if self.schema != SchemaName::default() {
            let text = format!(
                "call what `messagekit {}` calls, with the schema {}: the command line knows the schema messagekit only",
                words.join(" "),
                self.schema
            );
            return Repair::Manual(text);
        }
        Repair::command([&["messagekit"], words, &["--database", &self.url]].concat())
    }

    /// Returns a command of psql over the replication protocol.
    pub(super) fn replication_command(&self, text: &str) -> Repair {
        let apart = if self.url.contains('?') { '&' } else { '?' };
        Repair::command(["psql", &format!("{}{apart}replication=database", self.url), "--command", text])
    }

    /// Returns a command that copies this database into a new one of another name and encoding.
    pub(super) fn copy_command(&self, name: &str) -> [Repair; 2] {
        let quoted = crate::quoting::quoted(name);
        let make = format!("CREATE DATABASE {quoted} ENCODING 'UTF8' TEMPLATE template0");
        let copy = url(
            &self.options.clone().database(name),
            &Capture { database: name.to_owned(), ..self.capture.clone() },
        );
        let (Repair::Command(dump), Repair::Command(load)) = (
            Repair::command(["pg_dump", "--no-owner", "--dbname", &self.url]),
            Repair::command(["psql", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &copy]),
        ) else {
            unreachable!("both are commands")
        };
        [Repair::Sql(make), Repair::Command(format!("{dump} | {load}"))]
    }
}

/// Returns a URL without the password, which programs take from PGPASSWORD or the password file.
fn url(options: &PgConnectOptions, capture: &Capture) -> String {
    let (user, database) = (encoded(options.get_username()), encoded(&capture.database));
    let (host, port) = (&capture.host, capture.port);
    let mut url = match host.starts_with('/') {
        true => format!("postgres://{user}@localhost:{port}/{database}?host={}", encoded(host)),
        false if host.contains(':') && !host.starts_with('[') => {
            format!("postgres://{user}@[{host}]:{port}/{database}")
        }
        false => format!("postgres://{user}@{host}:{port}/{database}"),
    };
    if !matches!(options.get_ssl_mode(), PgSslMode::Prefer) {
        url.push(if url.contains('?') { '&' } else { '?' });
        url.push_str(&format!("sslmode={}", capture.ssl_mode));
    }
    url
}

/// Encodes a part of a URL.
fn encoded(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::of(&PostgresStore::options().lazy(url).unwrap())
    }

    #[tokio::test]
    async fn a_command_names_the_database_without_its_password() {
        let target = target("postgres://app:hunter2@db:5433/web-shop?sslmode=require");
        let Repair::Command(command) = target.command(&["migrate"]) else { panic!("no command") };
        assert_eq!(
            command,
            "messagekit migrate --database 'postgres://app@db:5433/web-shop?sslmode=require'"
        );
    }

    #[tokio::test]
    async fn a_url_keeps_strange_names() {
        let target = target("postgres://a%40b:p@[::1]:5432/it's");
        let command = target.command(&["migrate"]);
        assert!(command.text().ends_with("'postgres://a%40b@[::1]:5432/it%27s'"), "{command:?}");
    }
}
