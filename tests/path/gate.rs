//! A gate in front of the bills, so that a test decides when billing goes on and not the speed of the machine.

use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Database;
use sqlx::{Executor, PgConnection};

/// A closed gate: bills can be counted, none can be written. It opens when this is dropped or its server is killed.
pub(crate) struct Gate(PgConnection);

impl Gate {
    /// Closes it behind the bills that are being written, and returns when these are committed.
    pub(crate) async fn close(database: &Database) -> Self {
        let mut connection = database.connection().await;
        let close = "BEGIN; LOCK TABLE bills IN SHARE MODE";
        connection.execute(sqlx::raw_sql(close)).await.expect("the table can be locked");
        Self(connection)
    }

    /// Waits until billing stands before it, inside a transaction.
    pub(crate) async fn until_billing_waits(&mut self) {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'bills'::regclass AND NOT granted)";
        eventually("billing has an order in hand", DEADLINE, async || {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut self.0).await.expect("the database answers")
        })
        .await;
    }
}
