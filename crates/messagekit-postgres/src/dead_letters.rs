//! The desk where people look at dead letters.

use messagekit::{
    Act, Acted, Actor, BoxFuture, DeadLetter, DeadLetters, Error, LetterFilter, LetterGroup, LetterHead,
    LetterTotal, Store,
};

use crate::PostgresStore;
use crate::tables::{acts, desk};

/// A retried letter runs in the process that consumes; which one that is does not matter to the desk.
impl DeadLetters for PostgresStore {
    fn list<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterHead>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::list(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn ids<'a>(&'a self, filter: &'a LetterFilter, limit: u32) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::ids(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<DeadLetter, Error>> {
        Box::pin(
            self.read(
                move |mut connection| async move { desk::show(&mut connection, self.schema(), id).await },
            ),
        )
    }

    fn totals<'a>(&'a self, filter: &'a LetterFilter) -> BoxFuture<'a, Result<Vec<LetterTotal>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::totals(&mut connection, self.schema(), filter).await
        }))
    }

    fn groups<'a>(
        &'a self,
        filter: &'a LetterFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LetterGroup>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::groups(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn act<'a>(
        &'a self,
        act: Act,
        ids: &'a [i64],
        by: &'a Actor,
    ) -> BoxFuture<'a, Result<Vec<Acted>, Error>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let answers = self.statement(acts::act(&mut tx, self.schema(), act, ids, by)).await?;
            self.commit(tx).await?;
            Ok(answers)
        })
    }
}
