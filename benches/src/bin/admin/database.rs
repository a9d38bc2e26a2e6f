//! A database of its own on somebody's server.

use std::time::{SystemTime, UNIX_EPOCH};

use messagekit_benches::Outcome;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

pub(crate) struct Database {
    server: PgConnectOptions,
    name: String,
    url: String,
}

impl Database {
    pub(crate) async fn create(server: &str) -> Outcome<Self> {
        let server: PgConnectOptions =
            server.parse().map_err(|error| format!("--database is not a URL of PostgreSQL: {error}"))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
        let name = format!("bench_{now}_{}", std::process::id());
        let url = server.clone().database(&name).to_url_lossy().to_string();
        let database = Self { server, name, url };
        database.on_server(format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Drops it under the connections that are still open.
    pub(crate) async fn drop(self) -> Outcome<()> {
        self.on_server(format!("DROP DATABASE {} WITH (FORCE)", self.name)).await
    }

    async fn on_server(&self, sql: String) -> Outcome<()> {
        let mut connection = self.server.connect().await?;
        sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        connection.close().await?;
        Ok(())
    }
}
