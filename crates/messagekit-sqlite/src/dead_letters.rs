//! The desk where people look at dead letters.

use messagekit::{BoxFuture, DeadLetter, DeadLetters, Error, LetterFilter};

use crate::SqliteStore;
use crate::tables::{letters, now};

/// A retried letter runs in the process that consumes; which one that is does not matter to the desk.
impl DeadLetters for SqliteStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| letters::list(conn, &filter, limit)))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(self.query(move |conn| letters::show(conn, id)))
    }

    fn retry(&self, id: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.job(move |conn| letters::retry(conn, id, now())))
    }
}
