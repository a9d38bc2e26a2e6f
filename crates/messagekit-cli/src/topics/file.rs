//! The file with the topics of a command.

use std::path::Path;

use messagekit::{Error, ErrorKind};
use messagekit_sqlite::SqliteStore;
use messagekit_topics::{Topic, TopicDefinition, Topics};
use serde_json::Value;

use crate::database::{Database, Kind, open_file};

/// Opens the topics of a file that exists.
pub(super) async fn open(database: &Database) -> Result<Topics<SqliteStore>, Error> {
    Ok(Topics::of(open_file(path(database)?).await?))
}

/// Opens the topics of a file, and makes the file if it is missing.
pub(super) async fn open_or_make(database: &Database) -> Result<Topics<SqliteStore>, Error> {
    let path = path(database)?;
    if path.exists() { open(database).await } else { Ok(Topics::open(path).await?) }
}

/// Returns what a topic was made with.
pub(super) async fn definition(topics: &Topics<SqliteStore>, name: &str) -> Result<TopicDefinition, Error> {
    let missing = || {
        let text =
            "no such topic: `messagekit topics list` shows the topics, `messagekit topics create` makes one";
        Error::new(ErrorKind::NotFound, text).with("topic", name)
    };
    topics.definition(name).await?.ok_or_else(missing)
}

/// Opens a topic that exists, under the rules that it has.
pub(super) async fn topic(
    topics: &Topics<SqliteStore>,
    name: &str,
) -> Result<Topic<Value, SqliteStore>, Error> {
    definition(topics, name).await?;
    Ok(topics.untyped(name).open().await?)
}

pub(super) fn path(database: &Database) -> Result<&Path, Error> {
    match database.kind()? {
        Kind::Sqlite(path) => Ok(path),
        Kind::Postgres(_) => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "typed topics are kept in a SQLite file: write sqlite:PATH after --database",
        )),
    }
}
