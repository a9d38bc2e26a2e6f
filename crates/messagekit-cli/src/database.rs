//! Which database a command works on.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use messagekit::{Error, ErrorKind};
use messagekit_sqlite::SqliteStore;

/// The option that every command on a database has.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Database {
    /// The database, for example sqlite:shop.db
    #[arg(long = "database", value_name = "URL", env = "MESSAGEKIT_DATABASE_URL")]
    url: Url,
}

#[derive(Clone, Debug)]
struct Url(PathBuf);

impl FromStr for Url {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("sqlite:") {
            Some(path) if !path.is_empty() => Ok(Self(PathBuf::from(path))),
            Some(_) => Err("the path is missing: write sqlite:PATH".to_owned()),
            // The text may hold a password, so it is not repeated.
            None => Err("not a database this program knows: write sqlite:PATH".to_owned()),
        }
    }
}

impl Database {
    /// Returns the file's path.
    pub(crate) fn path(&self) -> &Path {
        &self.url.0
    }

    /// Opens a database that is there and up to date: looking at dead letters neither creates nor changes one.
    pub(crate) async fn open(&self) -> Result<SqliteStore, Error> {
        let path = self.path();
        let here = |kind, text: &'static str| Error::new(kind, text).with("path", path.display());
        if !path.exists() {
            return Err(here(ErrorKind::NotFound, "no such database file"));
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
