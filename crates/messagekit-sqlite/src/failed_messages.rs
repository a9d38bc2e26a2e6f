//! Lists failed messages, and applies the actions of operators.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionResult, FailedMessage, FailedMessageFilter, FailedMessageGroup, FailedMessageHead,
    FailedMessageTotal, FailedMessages, Operator, Pace,
};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::{actions, failed_message_lists, now};

/// A retried failed message runs in a consumer process; this code does not depend on which one.
impl FailedMessages for SqliteStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| failed_message_lists::list(conn, &filter, limit)))
    }

    fn ids<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<i64>, Error>> {
        let filter = filter.clone();
        Box::pin(self.query(move |conn| failed_message_lists::ids(conn, &filter, limit).map_err(from_sqlite)))
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
        let (ids, by, now) = (ids.to_vec(), by.clone(), now());
        Box::pin(self.job(move |conn| actions::act(conn, act, &ids, &by, now)))
    }

    fn retry_at_pace<'a>(
        &'a self,
        ids: &'a [i64],
        pace: Pace,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        let (ids, by, now) = (ids.to_vec(), by.clone(), now());
        Box::pin(self.job(move |conn| actions::act_at_pace(conn, Action::Retry, &ids, pace, &by, now)))
    }
}
