//! Tables of this file whose changes become events.

mod definition;
mod event;
mod functions;
pub(crate) mod install;
mod keys;
mod quoting;
mod replaced;
mod route;
mod row_json;
mod table;
mod triggers;
mod unique_key;

use messagekit::Error;
use messagekit::log::KnownSource;
use messagekit_topic_store::{AddedSource, SqlDialect, TableSource, TableSources};

use crate::SqliteStore;
use crate::error::from_sqlite;

/// Triggers and their source are written in one transaction of the writer.
impl TableSources for SqliteStore {
    const DIALECT: SqlDialect = SqlDialect::Sqlite;

    async fn add_source(&self, source: &TableSource, replaces: bool) -> Result<AddedSource, Error> {
        let source = source.clone();
        self.job(move |conn| install::add(conn, &source, replaces)).await
    }

    async fn drop_source(&self, topic: &str, table: &str) -> Result<bool, Error> {
        let (topic, table) = (topic.to_owned(), table.to_owned());
        self.job(move |conn| install::remove(conn, &topic, &table)).await
    }

    async fn sources(&self) -> Result<Vec<KnownSource>, Error> {
        self.query(|conn| {
            let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
            install::known(&snapshot)
        })
        .await
    }
}
