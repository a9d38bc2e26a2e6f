//! A database for one test.

use messagekit_postgres::{PostgresStore, SchemaName, migrations, partitioning};
use messagekit_testkit::{DEADLINE, unique};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::services::postgres_url;

/// A database in the test cluster. It is not removed; the cluster's data is deleted after the tests.
#[derive(Clone, Debug)]
pub struct Database {
    url: String,
    name: String,
}

impl Database {
    /// Creates a database with the tables of this program.
    pub async fn fresh() -> Self {
        let database = Self::empty().await;
        migrations::migrate(&database.url).await.expect("migrates");
        database
    }

    /// Creates a database whose events and markers are partitioned by day. Each id has a day by the hash of its text, as if
    /// the rows of a test had arrived within a month.
    pub async fn divided() -> Self {
        let database = Self::fresh().await;
        partitioning::divide(&database.url, &SchemaName::default(), DEADLINE).await.expect("divides");
        // While they are empty: no row may be in the partition of another day.
        let spread = "CREATE OR REPLACE FUNCTION messagekit.day_of(id text) RETURNS smallint
            LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (hashtext(id) & 31)::smallint";
        sqlx::raw_sql(spread).execute(&mut database.connection().await).await.expect("spreads");
        database
    }

    /// Creates a database without tables.
    pub async fn empty() -> Self {
        let server = postgres_url();
        let name = unique("test").replace(['.', '-'], "_");
        let options: PgConnectOptions = server.parse().expect("a URL of PostgreSQL");
        let mut admin = options.connect().await.expect("PostgreSQL answers");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::raw_sql(create).execute(&mut admin).await.expect("makes a database");
        admin.close().await.expect("closes");
        let (server, _) = server.rsplit_once('/').expect("the URL names a database");
        Self { url: format!("{server}/{name}"), name }
    }

    /// Returns its URL, with the superuser's password.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens it as a store.
    pub async fn store(&self) -> PostgresStore {
        PostgresStore::connect(&self.url).await.expect("opens")
    }

    /// Opens a plain connection.
    pub async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connects")
    }
}
