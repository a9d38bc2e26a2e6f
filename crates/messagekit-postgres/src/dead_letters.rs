//! The desk where people look at dead letters.

use messagekit::{BoxFuture, DeadLetter, DeadLetters, Error, LetterFilter};

use crate::PostgresStore;
use crate::tables::letters;

/// A retried letter runs in the process that consumes; which one that is does not matter to the desk.
impl DeadLetters for PostgresStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<DeadLetter>, Error>> {
        Box::pin(self.statement(async move {
            letters::list(&mut *self.connection().await?, self.schema(), filter, limit).await
        }))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(
            self.statement(
                async move { letters::show(&mut *self.connection().await?, self.schema(), id).await },
            ),
        )
    }

    fn retry(&self, id: i64) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.statement(async move {
            letters::retry(&mut *self.connection().await?, self.schema(), id).await
        }))
    }
}
