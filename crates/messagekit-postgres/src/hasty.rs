//! Changes of a table that must not hold up its writers.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Store};
use tokio::time::Instant;

use crate::error::from_sqlx;
use crate::{PgTx, PostgresStore};

/// A trigger waits for the open writers of its table, and all later writers wait behind it: it waits for a moment only, and often.
const LOCK_WAIT: &str = "SET LOCAL lock_timeout = '500ms'";
const PAUSE: Duration = Duration::from_millis(100);

/// How long it is tried.
const PATIENCE: Duration = Duration::from_secs(20);

impl PostgresStore {
    /// Begins a transaction that waits for no lock for long.
    pub(crate) async fn begin_hasty(&self) -> Result<PgTx, Error> {
        let mut tx = self.begin().await?;
        sqlx::raw_sql(LOCK_WAIT).execute(&mut *tx).await.map_err(from_sqlx)?;
        Ok(tx)
    }
}

/// Attempts to lock a table between its writers.
pub(crate) struct Attempts<'a> {
    table: &'a str,
    until: Instant,
}

impl<'a> Attempts<'a> {
    pub(crate) fn new(table: &'a str) -> Self {
        Self { table, until: Instant::now() + PATIENCE }
    }

    /// Commits what an attempt has done and returns it. After a refused lock it rolls back, waits, and returns `None`: try again.
    pub(crate) async fn end<R>(
        &self,
        store: &PostgresStore,
        tx: PgTx,
        done: Result<R, Error>,
    ) -> Result<Option<R>, Error> {
        let error = match done {
            Ok(done) => return store.commit(tx).await.map(|()| Some(done)),
            Err(error) => error,
        };
        store.rollback(tx).await?;
        if error.kind() != ErrorKind::Conflict {
            return Err(error);
        }
        if Instant::now() < self.until {
            tokio::time::sleep(PAUSE).await;
            return Ok(None);
        }
        let text = "open transactions hold the table: end them, or try again";
        Err(Error::new(ErrorKind::Conflict, text).with("table", self.table).caused_by(error))
    }
}
