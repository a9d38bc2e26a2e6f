//! Lists failed messages, and applies the actions of operators.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionOrder, ActionResult, ChosenMessages, FailedMessage, FailedMessageFilter,
    FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal, FailedMessageVersion,
    FailedMessages, Operator, SelectionBatch, no_failed_message,
};

use crate::SqliteStore;
use crate::tables::{actions, failed_message_lists, now, selections};

/// A retried failed message runs in a consumer process; this code does not depend on which one. An action reads the clock when
/// it has the file to itself: a retry that waited behind another one finds that the message is due.
impl FailedMessages for SqliteStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| failed_message_lists::list(conn, &filter, limit)))
    }

    fn versions<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageVersion>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| selections::versions(conn, &filter, limit)))
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>> {
        Box::pin(self.query(move |conn| failed_message_lists::show(conn, id)))
    }

    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| failed_message_lists::totals(conn, &filter)))
    }

    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| failed_message_lists::groups(conn, &filter, limit)))
    }

    fn apply<'a>(&'a self, order: ActionOrder<'a>) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let ActionOrder { action, pace, .. } = order;
        let (ids, operator) = (order.messages.ids().into_owned(), order.operator.clone());
        let batch = match order.messages {
            ChosenMessages::Ids(_) => None,
            ChosenMessages::Batch(batch) => Some((batch.filter.clone(), batch.versions.to_vec())),
        };
        Box::pin(self.job(move |conn| {
            let messages = match &batch {
                None => ChosenMessages::Ids(&ids),
                Some((filter, versions)) => ChosenMessages::Batch(SelectionBatch { filter, versions }),
            };
            actions::apply(conn, &ActionOrder { action, messages, pace, operator: &operator }, now())
        }))
    }

    fn act_on<'a>(
        &'a self,
        action: Action,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        let operator = operator.clone();
        Box::pin(async move {
            let job = self.job(move |conn| {
                let ids = [id];
                let order = ActionOrder::new(action, &ids, &operator);
                Ok((actions::apply(conn, &order, now())?, actions::state_of(conn, id)?))
            });
            let (results, state) = job.await?;
            results.into_iter().try_for_each(|result| result.done(action, id))?;
            state.ok_or_else(|| no_failed_message(id))
        })
    }
}
