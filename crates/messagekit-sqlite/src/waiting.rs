//! Appends what triggers of table sources have left, before topics are read.
//!
//! The program that changes a row may know nothing of us, and would not do it. The writer of each process that has the file
//! open does so too, once a second and after its own commits.

use messagekit::{Error, ErrorKind, chain};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::{now, waiting_changes};

impl SqliteStore {
    /// Runs a query over topics that hold every change that was committed before.
    pub(crate) async fn query_topics<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, Error> + Clone + Send + 'static,
    ) -> Result<R, Error> {
        let first = work.clone();
        let look = move |conn: &Connection| match waiting_changes::last(conn).map_err(from_sqlite)? {
            None => first(conn).map(Ok),
            Some(last) => Ok(Err(last)),
        };
        match self.query(look).await? {
            Ok(found) => return Ok(found),
            Err(last) => self.append_waiting_up_to(last).await?,
        }
        self.query(work).await
    }

    /// Appends the changes that wait now.
    pub(crate) async fn append_waiting(&self) -> Result<(), Error> {
        match self.query(|conn| waiting_changes::last(conn).map_err(from_sqlite)).await? {
            Some(last) => self.append_waiting_up_to(last).await,
            None => Ok(()),
        }
    }

    /// A reader that cannot write at the moment reads what there is: within a transaction of its own task, or while another program holds
    /// the lock.
    async fn append_waiting_up_to(&self, last: i64) -> Result<(), Error> {
        let partitions = self.partitions().get();
        loop {
            match self.job(move |conn| waiting_changes::append(conn, partitions, now())).await {
                Ok(batch) => {
                    self.tell(&batch.appended);
                    if !batch.is_full || batch.last.is_none_or(|until| until >= last) {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldDeadlock || error.is_transient() => {
                    tracing::debug!(error = chain(&error), "changes of tables wait for a later look");
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
    }
}
