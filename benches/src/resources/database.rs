//! A fresh database on an existing server.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, migrations};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::{Program, remove_behind, unique};
use crate::frame::{Judge, Ledger, Outcome};

/// The number of events of a backlog per transaction.
pub(crate) const TOGETHER: usize = 100;

/// A database. A drop removes it, even while it has connections.
pub(crate) struct Database {
    server: PgConnectOptions,
    pub(crate) name: String,
    pub(crate) url: String,
}

impl Database {
    /// Creates an empty database.
    pub(crate) async fn empty(server: &str) -> Outcome<Self> {
        let server: PgConnectOptions =
            server.parse().map_err(|error| format!("--database is not a URL of PostgreSQL: {error}"))?;
        let name = unique();
        let url = server.clone().database(&name).to_url_lossy().to_string();
        on_server(&server, format!("CREATE DATABASE {name}")).await?;
        Ok(Self { server, name, url })
    }

    /// Creates a database with the tables of messagekit.
    pub(crate) async fn migrated(server: &str) -> Outcome<Self> {
        let database = Self::empty(server).await?;
        migrations::migrate(&database.url).await?;
        Ok(database)
    }

    /// Creates a database whose events are published by a relay.
    pub(crate) async fn for_relay(server: &str) -> Outcome<Self> {
        let database = Self::migrated(server).await?;
        to_relay(&database.url, &SchemaName::default(), Existing::Refuse, Duration::from_secs(30)).await?;
        Ok(database)
    }

    /// Creates a database whose events Debezium may read. A database with a slot cannot be removed.
    pub(crate) async fn for_debezium(server: &str, program: &Path) -> Outcome<Self> {
        let database = Self::empty(server).await?;
        let mut command = Command::new(program);
        command.args(["migrate", "--cdc", "--database", &database.url]);
        Program::finish(command).await?;
        Ok(database)
    }

    pub(crate) async fn store(&self) -> Outcome<PostgresStore> {
        Ok(PostgresStore::options().max_connections(80).connect(&self.url).await?)
    }

    /// Writes a backlog of events, [`TOGETHER`] per transaction, and analyses the tables.
    pub(crate) async fn fill(&self, messages: &[Message]) -> Outcome<()> {
        let store = self.store().await?;
        for messages in messages.chunks(TOGETHER) {
            let mut tx = store.begin().await?;
            store.write(&mut tx, messages).await?;
            store.commit(tx).await?;
        }
        self.settle().await
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, sql: String) -> Outcome<()> {
        let mut connection = sqlx::PgConnection::connect(&self.url).await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Flushes earlier writes, which would slow the measurement down.
    pub(crate) async fn settle(&self) -> Outcome<()> {
        self.execute("VACUUM ANALYZE".to_owned()).await?;
        // Requires a privilege that the owner of a database may not have.
        drop(self.execute("CHECKPOINT".to_owned()).await);
        Ok(())
    }

    /// Checks the rows of a query with the columns account and number, in the order in which they were written.
    pub(crate) async fn judge(&self, events: usize, sql: &'static str) -> Outcome<Ledger> {
        let mut connection = sqlx::PgConnection::connect(&self.url).await?;
        let rows: Vec<(String, i64)> = sqlx::query_as(sql).fetch_all(&mut connection).await?;
        let mut judge = Judge::expecting(events);
        for (account, number) in rows {
            judge.see(&account, u64::try_from(number)?)?;
        }
        Ok(judge.verdict())
    }
}

async fn on_server(server: &PgConnectOptions, sql: String) -> Outcome<()> {
    let mut connection = server.connect().await?;
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
    Ok(connection.close().await?)
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        remove_behind(format!("database {}", self.name), on_server(&self.server, sql));
    }
}
