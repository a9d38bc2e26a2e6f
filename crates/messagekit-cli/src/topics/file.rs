//! The database with the topics of a command.

use std::path::Path;

use messagekit::{Error, ErrorKind, operations};
use messagekit_postgres::PostgresStore;
use messagekit_sqlite::SqliteStore;
use messagekit_topic_store::Pages;
use messagekit_topic_store::{PipelineStore, TableSources, TopicStore};
use messagekit_topics::{Topic, TopicDefinition, Topics};
use serde_json::value::RawValue;

use crate::database::{Database, Kind, Operations, open_file};

/// What a command does with topics, whatever keeps them.
pub(crate) trait Work {
    async fn run<S: TableSources + Pages + PipelineStore + operations::Operations>(
        &self,
        topics: &Topics<S>,
    ) -> Result<(), Error>;
}

/// Works on the topics of a database that exists, and closes it.
pub(crate) async fn work(database: &Database, work: &impl Work) -> Result<(), Error> {
    match database.open().await? {
        Operations::Sqlite(store) => on_file(Topics::of(store), work).await,
        Operations::Postgres(store) => on_server(store, work).await,
    }
}

/// As [`work`]; makes the file if it is missing.
pub(super) async fn work_or_make(database: &Database, work: &impl Work) -> Result<(), Error> {
    match database.kind()? {
        Kind::Sqlite(path) if !path.exists() => on_file(Topics::open(path).await?, work).await,
        _ => self::work(database, work).await,
    }
}

async fn on_file(topics: Topics<SqliteStore>, work: &impl Work) -> Result<(), Error> {
    let done = work.run(&topics).await;
    topics.close().await?;
    done
}

async fn on_server(store: PostgresStore, work: &impl Work) -> Result<(), Error> {
    let done = work.run(&Topics::of(store.clone())).await;
    store.close().await;
    done
}

/// Opens the topics of a file that exists.
pub(super) async fn open(database: &Database) -> Result<Topics<SqliteStore>, Error> {
    Ok(Topics::of(open_file(path(database)?).await?))
}

/// Returns what a topic was made with.
pub(super) async fn definition<S: TopicStore>(
    topics: &Topics<S>,
    name: &str,
) -> Result<TopicDefinition, Error> {
    let missing = || {
        let text =
            "no such topic: `messagekit topics list` shows the topics, `messagekit topics create` makes one";
        Error::new(ErrorKind::NotFound, text).with("topic", name)
    };
    topics.definition(name).await?.ok_or_else(missing)
}

/// Opens a topic that exists, under the rules that it has.
pub(super) async fn topic<S: TopicStore>(
    topics: &Topics<S>,
    name: &str,
) -> Result<Topic<Box<RawValue>, S>, Error> {
    definition(topics, name).await?;
    Ok(topics.untyped(name).open().await?.as_text())
}

pub(super) fn path(database: &Database) -> Result<&Path, Error> {
    match database.kind()? {
        Kind::Sqlite(path) => Ok(path),
        Kind::Postgres(_) => Err(Error::new(
            ErrorKind::InvalidConfiguration,
            "this is done with a SQLite file: write sqlite:PATH after --database",
        )),
    }
}
