//! What the projection leaves in each database.

use std::future::Future;

use messagekit::adapter::FullInbox;
use messagekit::{Error, ErrorKind, HandlerError, Store};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_sqlite::{SqliteStore, SqliteTx};

/// A database that keeps what the projection has seen. No constraint hides a record that was handled twice.
pub(crate) trait Effects: FullInbox {
    /// Creates the table, unless it is there.
    fn create_table(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Adds a row in the handler's transaction.
    fn note(tx: &mut Self::Tx, number: i64) -> impl Future<Output = Result<(), HandlerError>> + Send;

    /// Returns the store of a file, which may be the log, too.
    fn as_file(&self) -> Option<SqliteStore>;
}

impl Effects for SqliteStore {
    async fn create_table(&self) -> Result<(), Error> {
        let create = "CREATE TABLE IF NOT EXISTS projected (id INTEGER PRIMARY KEY AUTOINCREMENT, number INTEGER NOT NULL) STRICT";
        let mut tx = self.begin().await?;
        tx.call(move |c| c.execute_batch(create)).await?;
        self.commit(tx).await
    }

    async fn note(tx: &mut SqliteTx, number: i64) -> Result<(), HandlerError> {
        tx.call(move |c| c.execute("INSERT INTO projected (number) VALUES (?1)", [number])).await?;
        Ok(())
    }

    fn as_file(&self) -> Option<SqliteStore> {
        Some(self.clone())
    }
}

impl Effects for PostgresStore {
    /// A sequence without a cache, so that ids grow in the order of the rows of one session.
    async fn create_table(&self) -> Result<(), Error> {
        // Two processes that create it at the same time would fail.
        let create = "SELECT pg_advisory_xact_lock(1);
            CREATE TABLE IF NOT EXISTS public.projected (id bigserial PRIMARY KEY, number bigint NOT NULL)";
        let created = sqlx::raw_sql(create).execute(self.pool()).await;
        created.map(drop).map_err(|error| {
            Error::new(ErrorKind::Other, "projection cannot make its table").caused_by(error)
        })
    }

    async fn note(tx: &mut PgTx, number: i64) -> Result<(), HandlerError> {
        let insert = "INSERT INTO public.projected (number) VALUES ($1)";
        sqlx::query(insert).bind(number).execute(&mut **tx).await?;
        Ok(())
    }

    fn as_file(&self) -> Option<SqliteStore> {
        None
    }
}
