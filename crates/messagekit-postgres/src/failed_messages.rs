//! Lists failed messages, and applies the actions of operators.

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead,
    FailedMessageState, FailedMessageTotal, FailedMessageVersion, FailedMessages, Operator, Pace,
    SelectionBatch, no_failed_message,
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

    fn act<'a>(
        &'a self,
        act: Action,
        ids: &'a [i64],
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(self.act_at_pace(act, None, (ids, None), by))
    }

    fn act_on<'a>(
        &'a self,
        act: Action,
        id: i64,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        Box::pin(self.act_and_read(act, id, by))
    }

    fn retry_at_pace<'a>(
        &'a self,
        ids: &'a [i64],
        pace: Pace,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(self.act_at_pace(Action::Retry, Some(pace), (ids, None), by))
    }

    fn act_on_selection<'a>(
        &'a self,
        act: Action,
        pace: Option<Pace>,
        batch: SelectionBatch<'a>,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(async move { self.act_at_pace(act, pace, (&batch.ids(), Some(batch)), by).await })
    }
}

impl PostgresStore {
    async fn act_at_pace(
        &self,
        act: Action,
        pace: Option<Pace>,
        failed_messages: (&[i64], Option<SelectionBatch<'_>>),
        by: &Operator,
    ) -> Result<Vec<ActionResult>, Error> {
        let mut tx = self.begin().await?;
        let answers =
            self.statement(actions::act(&mut tx, self.schema(), (act, pace), failed_messages, by)).await?;
        self.commit(tx).await?;
        Ok(answers)
    }

    async fn act_and_read(&self, act: Action, id: i64, by: &Operator) -> Result<FailedMessageState, Error> {
        let mut tx = self.begin().await?;
        let acts = async {
            let results = actions::act(&mut tx, self.schema(), (act, None), (&[id], None), by).await?;
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
        result.done(act, id)?;
        state.ok_or_else(|| no_failed_message(id))
    }
}
