//! A lock on a service's table: the test decides when the service continues, not the speed of the machine.

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor, PgConnection};

/// A closed gate: rows can be counted, none can be written. It opens when this is dropped or its server is killed.
pub(crate) struct Gate {
    connection: PgConnection,
    table: &'static str,
}

impl Gate {
    /// Closes it after the rows that are being written, and returns when these are committed.
    pub(crate) async fn close(database: &Database, table: &'static str) -> Self {
        let mut connection = database.connection().await;
        let close = AssertSqlSafe(format!("BEGIN; LOCK TABLE {table} IN SHARE MODE"));
        connection.execute(sqlx::raw_sql(close)).await.expect("the table can be locked");
        Self { connection, table }
    }

    /// Waits until the service waits at it, inside a transaction.
    pub(crate) async fn until_somebody_waits(&mut self) {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = to_regclass($1) AND NOT granted)";
        eventually("the service has something in hand", DEADLINE, async || {
            let waits = sqlx::query_scalar::<_, bool>(waits).bind(self.table).fetch_one(&mut self.connection);
            waits.await.expect("the database answers")
        })
        .await;
    }
}
