//! The database of a command.

use std::path::Path;

use messagekit::operations;
use messagekit::relay::RejectedEvents;
use messagekit::{Error, ErrorKind, chain};
use messagekit_postgres::cdc::Capture;
use messagekit_postgres::{PostgresStore, SchemaName};
use messagekit_sqlite::SqliteStore;

use crate::url::Url;

/// The environment variable with the database's URL, used without the option.
pub(crate) const URL_VARIABLE: &str = "MESSAGEKIT_DATABASE_URL";

/// The option of every command on a database.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Database {
    /// The database, for example sqlite:shop.db or postgres://me@localhost/shop
    #[arg(long = "database", value_name = "URL", env = URL_VARIABLE, hide_env_values = true)]
    url: Url,
}

/// The target of a URL. Never shown: a server's URL may contain a password.
#[derive(Clone, Copy)]
pub(crate) enum Kind<'a> {
    Sqlite(&'a Path),
    Postgres(&'a str),
}

/// The operations of an open database.
pub(crate) enum Operations {
    Sqlite(SqliteStore),
    Postgres(PostgresStore),
}

impl<'a> Kind<'a> {
    pub(crate) fn of(url: &'a str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", "")) => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "the path is missing: write sqlite:PATH after --database",
            )),
            Some(("sqlite", path)) => Ok(Kind::Sqlite(Path::new(path))),
            Some(("postgres" | "postgresql", _)) => Ok(Kind::Postgres(url)),
            _ => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "not a database this program knows: write sqlite:PATH or postgres://… after --database",
            )),
        }
    }
}

impl Database {
    /// Returns the database of a URL that another option has named.
    pub(crate) fn at(url: Url) -> Self {
        Self { url }
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn kind(&self) -> Result<Kind<'_>, Error> {
        Kind::of(&self.url)
    }

    /// Returns the printable name of the database, without user and password.
    pub(crate) fn name(&self) -> Result<String, Error> {
        match self.kind()? {
            Kind::Sqlite(path) => Ok(path.display().to_string()),
            Kind::Postgres(url) => postgres_name(url),
        }
    }

    /// Returns a printable command on the same database, without a server's URL: it may contain a password.
    pub(crate) fn command(&self, command: &str) -> String {
        if std::env::var(URL_VARIABLE).is_ok_and(|url| url == *self.url) {
            command.to_owned()
        } else if self.url.starts_with("sqlite:") {
            format!("{command} --database {}", &*self.url)
        } else {
            format!("{command}, with this --database")
        }
    }

    /// Opens a database that exists and has the current schema; neither creates nor migrates one.
    pub(crate) async fn open(&self) -> Result<Operations, Error> {
        match self.kind()? {
            Kind::Sqlite(path) => open_file(path).await.map(Operations::Sqlite),
            Kind::Postgres(url) => {
                // An invalid URL is a usage error; a refusal of the server is a failure.
                self.name()?;
                PostgresStore::connect(url).await.map(Operations::Postgres).map_err(failed)
            }
        }
    }
}

impl Operations {
    /// Returns the database as the tools of operators see it.
    pub(crate) fn store(&self) -> &dyn operations::Operations {
        match self {
            Self::Sqlite(store) => store,
            Self::Postgres(store) => store,
        }
    }

    /// Returns the events that the broker rejected.
    pub(crate) fn rejected(&self) -> Result<&dyn RejectedEvents, Error> {
        let text = "no relay publishes this outbox: nothing of it can be rejected";
        self.store().rejected_events().ok_or_else(|| Error::new(ErrorKind::WrongState, text))
    }

    pub(crate) async fn close(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.close().await?,
            Self::Postgres(store) => store.close().await,
        }
        Ok(())
    }
}

/// Returns the name of a server's database, without user and password.
pub(crate) fn postgres_name(url: &str) -> Result<String, Error> {
    Ok(Capture::of(url, &SchemaName::default())?.database)
}

/// Converts a database error into a failure: the command itself was valid.
pub(crate) fn failed(error: messagekit_postgres::Error) -> Error {
    refused(error.into())
}

/// The same for the other servers.
pub(crate) fn refused(error: Error) -> Error {
    match error.kind() {
        ErrorKind::InvalidConfiguration => Error::new(ErrorKind::Other, chain(&error)),
        _ => error,
    }
}

pub(crate) async fn open_file(path: &Path) -> Result<SqliteStore, Error> {
    let here = |kind, text: &'static str| Error::new(kind, text).with("path", path.display());
    if !path.exists() {
        return Err(here(
            ErrorKind::NotFound,
            "no such database file: check the path, `messagekit migrate` makes a new one",
        ));
    }
    let status = messagekit_sqlite::migrations::status(path)?;
    if status.current == 0 {
        return Err(here(
            ErrorKind::Schema,
            "no messagekit tables in this file: is it the right one? `messagekit migrate` would add them",
        ));
    }
    if !status.pending.is_empty() {
        return Err(here(
            ErrorKind::Schema,
            "the tables are older than this program: run `messagekit migrate` first",
        ));
    }
    Ok(SqliteStore::open(path).await?)
}
