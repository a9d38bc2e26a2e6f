//! Lists failed messages, and applies the actions of operators.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead,
    FailedMessageState, FailedMessageTotal, FailedMessageVersion, FailedMessages, Operator, Pace,
    SelectionBatch, no_failed_message,
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

    fn act<'a>(
        &'a self,
        act: Action,
        ids: &'a [i64],
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        Box::pin(self.job(move |conn| actions::act(conn, act, &ids, &by, now())))
    }

    fn act_on<'a>(
        &'a self,
        act: Action,
        id: i64,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        let by = by.clone();
        Box::pin(async move {
            let job = self.job(move |conn| {
                let results = actions::act(conn, act, &[id], &by, now())?;
                Ok((results, actions::state_of(conn, id)?))
            });
            let (results, state) = job.await?;
            results.into_iter().try_for_each(|result| result.done(act, id))?;
            state.ok_or_else(|| no_failed_message(id))
        })
    }

    fn retry_at_pace<'a>(
        &'a self,
        ids: &'a [i64],
        pace: Pace,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let (ids, by) = (ids.to_vec(), by.clone());
        Box::pin(self.job(move |conn| actions::act_at_pace(conn, Action::Retry, &ids, pace, &by, now())))
    }

    fn act_on_selection<'a>(
        &'a self,
        act: Action,
        pace: Option<Pace>,
        batch: SelectionBatch<'a>,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let (filter, versions, by) = (batch.filter.clone(), batch.versions.to_vec(), by.clone());
        Box::pin(self.job(move |conn| {
            let batch = SelectionBatch { filter: &filter, versions: &versions };
            actions::act_on_selection(conn, act, batch, pace.unwrap_or_default(), &by, now())
        }))
    }
}
