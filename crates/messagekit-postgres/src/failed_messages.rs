//! The desk where people look at failed messages.

use messagekit::{
    Act, Acted, Actor, BoxFuture, Error, FailedMessage, FailedMessageFilter, FailedMessageGroup,
    FailedMessageHead, FailedMessageTotal, FailedMessages, Store,
};

use crate::PostgresStore;
use crate::tables::{acts, desk};

/// A retried failed message runs in the process that consumes; which one that is does not matter to the desk.
impl FailedMessages for PostgresStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::list(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn ids<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::ids(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>> {
        Box::pin(
            self.read(
                move |mut connection| async move { desk::show(&mut connection, self.schema(), id).await },
            ),
        )
    }

    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            desk::totals(&mut connection, self.schema(), filter).await
        }))
    }

    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>> {
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
