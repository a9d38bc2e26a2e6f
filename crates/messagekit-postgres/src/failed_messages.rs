//! Lists failed messages, and applies the actions of operators.

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionOrder, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageGroup,
    FailedMessageHead, FailedMessageState, FailedMessageTotal, FailedMessageVersion, FailedMessages,
    Operator, no_failed_message,
};
use messagekit::{Error, Store};

use crate::PostgresStore;
use crate::tables::{actions, failed_message_lists, selections};

/// A retried failed message runs in a consumer process; this code does not depend on which one.
impl FailedMessages for PostgresStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            failed_message_lists::list(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn versions<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageVersion>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            selections::versions(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            failed_message_lists::show(&mut connection, self.schema(), id).await
        }))
    }

    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            failed_message_lists::totals(&mut connection, self.schema(), filter).await
        }))
    }

    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            failed_message_lists::groups(&mut connection, self.schema(), filter, limit).await
        }))
    }

    fn apply<'a>(&'a self, order: ActionOrder<'a>) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let results = self.statement(actions::apply(&mut tx, self.schema(), &order)).await?;
            self.commit(tx).await?;
            Ok(results)
        })
    }

    fn act_on<'a>(
        &'a self,
        action: Action,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let acts = async {
                let ids = [id];
                let order = ActionOrder::new(action, &ids, operator);
                let results = actions::apply(&mut tx, self.schema(), &order).await?;
                let result = results.first().copied().unwrap_or(ActionResult::NotFound);
                let state = match result {
                    ActionResult::Done => Some(actions::state_of(&mut tx, self.schema(), id).await?),
                    _ => None,
                };
                Ok((result, state))
            };
            let (result, state) = self.statement(acts).await?;
            // A refusal is committed, too: the audit has a row of it.
            self.commit(tx).await?;
            result.done(action, id)?;
            state.ok_or_else(|| no_failed_message(id))
        })
    }
}
