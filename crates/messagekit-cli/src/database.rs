//! Which database a command works on.

use std::path::Path;

use messagekit::{Error, ErrorKind};
use messagekit_sqlite::SqliteStore;

/// The option that every command on a database has.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Database {
    // A URL may hold a password: neither help nor errors repeat one that is refused.
    /// The database, for example sqlite:shop.db
    #[arg(long = "database", value_name = "URL", env = "MESSAGEKIT_DATABASE_URL", hide_env_values = true)]
    url: String,
}

impl Database {
    /// Returns the file's path.
    pub(crate) fn path(&self) -> Result<&Path, Error> {
        match self.url.strip_prefix("sqlite:") {
            Some("") => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "the path is missing: write sqlite:PATH after --database",
            )),
            Some(path) => Ok(Path::new(path)),
            None => Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "not a database this program knows: write sqlite:PATH after --database",
            )),
        }
    }

    /// Returns the URL of a database that was opened.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Opens a database that is there and up to date: looking at dead letters neither creates nor changes one.
    pub(crate) async fn open(&self) -> Result<SqliteStore, Error> {
        let path = self.path()?;
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
}
