//! The database of a session of statements.

use messagekit_postgres::PostgresStore;
use messagekit_tests::Database;
use messagekit_topics::Topics;
use sqlx::AssertSqlSafe;

pub(crate) use super::home::{Db, close};

/// A database that is opened several times, as by several processes.
pub(crate) struct Home(Database);

impl Home {
    pub(crate) async fn new() -> Self {
        let database = Database::fresh().await;
        // The role of the tests has the name of our schema, where no table of the user belongs.
        let to_public = format!("ALTER DATABASE {} SET search_path TO public", database.name());
        sqlx::raw_sql(AssertSqlSafe(to_public)).execute(&mut database.connection().await).await.unwrap();
        Self(database)
    }

    pub(crate) async fn topics(&self) -> Topics<PostgresStore> {
        Topics::of(self.0.store().await)
    }

    /// Runs statements of the user.
    pub(crate) async fn change(&self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.0.connection().await).await.unwrap();
    }
}
