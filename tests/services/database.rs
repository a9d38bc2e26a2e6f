//! A database for one test.

use messagekit_postgres::{PostgresStore, SchemaName, migrations, partitioning};
use messagekit_testkit::{DEADLINE, eventually, unique};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::sync::OnceCell;

use crate::services::postgres_url;

/// A database in the test cluster. It is not removed; the cluster's data is deleted after the tests.
#[derive(Clone, Debug)]
pub struct Database {
    url: String,
    name: String,
}

/// Databases that are copied: a copy is made faster than its tables.
static WITH_TABLES: OnceCell<Database> = OnceCell::const_new();
static DIVIDED: OnceCell<Database> = OnceCell::const_new();

impl Database {
    /// Creates a database with the tables of this program.
    pub async fn fresh() -> Self {
        let template = WITH_TABLES.get_or_init(|| async {
            let database = Self::empty().await;
            migrations::migrate(&database.url).await.expect("migrates");
            database.without_sessions().await
        });
        Self::copy_of(template.await).await
    }

    /// Creates a database whose events and markers are partitioned by day. Each id has a day by the hash of its text, as if
    /// the rows of a test had arrived within a month.
    pub async fn divided() -> Self {
        let template = DIVIDED.get_or_init(|| async {
            let database = Self::fresh().await;
            partitioning::divide(&database.url, &SchemaName::default(), DEADLINE).await.expect("divides");
            // While they are empty: no row may be in the partition of another day.
            let spread = "CREATE OR REPLACE FUNCTION messagekit.day_of(id text) RETURNS smallint
                LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN (hashtext(id) & 31)::smallint";
            sqlx::raw_sql(spread).execute(&mut database.connection().await).await.expect("spreads");
            database.without_sessions().await
        });
        Self::copy_of(template.await).await
    }

    /// Creates a database without tables.
    pub async fn empty() -> Self {
        Self::made(" STRATEGY file_copy").await
    }

    async fn copy_of(template: &Self) -> Self {
        // By the default strategy all its pages go through the log, which takes more than twice as long.
        Self::made(&format!(" TEMPLATE {} STRATEGY file_copy", template.name)).await
    }

    async fn made(how: &str) -> Self {
        let name = unique("test").replace(['.', '-'], "_");
        let mut admin = admin().await;
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}{how}"));
        sqlx::raw_sql(create).execute(&mut admin).await.expect("makes a database");
        admin.close().await.expect("closes");
        let server = postgres_url();
        let (server, _) = server.rsplit_once('/').expect("the URL names a database");
        Self { url: format!("{server}/{name}"), name }
    }

    /// A database with a session cannot be copied, and one that was closed is still there for a moment.
    async fn without_sessions(self) -> Self {
        let mut admin = admin().await;
        eventually("no session is connected", DEADLINE, async || {
            let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = $1";
            let sessions: i64 =
                sqlx::query_scalar(sessions).bind(&self.name).fetch_one(&mut admin).await.expect("counts");
            sessions == 0
        })
        .await;
        self
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

async fn admin() -> PgConnection {
    let options: PgConnectOptions = postgres_url().parse().expect("a URL of PostgreSQL");
    options.connect().await.expect("PostgreSQL answers")
}
