//! The names of an outbox's publication, slot and table.

use sqlx::postgres::{PgConnectOptions, PgSslMode};

use crate::SchemaName;
use crate::address::shown_host;
use crate::migrations::connection;

/// The captured outbox and its names, which are the same in the database, in the connector and in the checks.
///
/// ```
/// use messagekit_postgres::{SchemaName, cdc::Capture};
///
/// let capture = Capture::of("postgres://app:secret@db:5432/web-shop", &SchemaName::default())?;
/// assert_eq!(capture.slot, "messagekit_web_shop");
/// assert_eq!(capture.publication, "messagekit_outbox");
/// assert_eq!(capture.table(), "messagekit.outbox_events");
/// # Ok::<(), messagekit_postgres::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capture {
    /// The server's name, or its address: one of IPv6 in brackets.
    pub host: String,
    /// The server's port.
    pub port: u16,
    /// The database.
    pub database: String,
    /// The encryption of connections, in libpq's words.
    pub ssl_mode: &'static str,
    /// The schema of the outbox.
    pub schema: SchemaName,
    /// The publication: `messagekit_outbox`, or with another schema's name as prefix.
    pub publication: String,
    /// The slot: `messagekit_` and the database, with `_` for characters that a slot name cannot hold. Slots belong to
    /// the whole server.
    pub slot: String,
}

impl Capture {
    /// Derives the names from a URL, without connecting. Drops its user and password.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) for a URL that cannot be parsed.
    pub fn of(url: &str, schema: &SchemaName) -> Result<Self, crate::Error> {
        Ok(Self::by(&connection::options(url)?, schema))
    }

    /// Derives the names from connection options.
    pub(crate) fn by(options: &PgConnectOptions, schema: &SchemaName) -> Self {
        let database = options.get_database().unwrap_or_else(|| options.get_username()).to_owned();
        let plain = |name: char| if name.is_ascii_lowercase() || name.is_ascii_digit() { name } else { '_' };
        let slot: String =
            format!("{schema}_{}", database.to_ascii_lowercase()).chars().map(plain).take(63).collect();
        Self {
            host: shown_host(options.get_host()),
            port: options.get_port(),
            ssl_mode: match options.get_ssl_mode() {
                PgSslMode::Disable => "disable",
                PgSslMode::Allow => "allow",
                PgSslMode::Prefer => "prefer",
                PgSslMode::Require => "require",
                PgSslMode::VerifyCa => "verify-ca",
                PgSslMode::VerifyFull => "verify-full",
            },
            publication: format!("{schema}_outbox").chars().take(63).collect(),
            slot,
            database,
            schema: schema.clone(),
        }
    }

    /// Returns the table with its schema as a connector names it: without quotes.
    pub fn table(&self) -> String {
        format!("{}.outbox_events", self.schema)
    }

    /// Returns the table with its schema, quoted for SQL.
    pub(crate) fn quoted_table(&self) -> String {
        format!("{}.outbox_events", self.schema.quoted())
    }
}
