//! Relayed topics, as a relay reads them.

use std::sync::Arc;
use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::Operator;
use messagekit::relay::{
    Leases, OutboxReader, Page, PendingId, RejectedAction, RejectedEvent, RejectedEvents, Rejection,
    ShardLease, ShardRead, no_rejected_event,
};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::pending::{self, Question};
use crate::tables::{audit, delayed, micros, now, rejected, shards};

/// Each call is its own commit or snapshot. Times are those of this machine's clock, which all processes with the file
/// open share.
impl OutboxReader for SqliteStore {
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>> {
        let name = name.to_owned();
        Box::pin(self.job(move |conn| {
            let now = now();
            shards::lease(conn, &name, now.saturating_add(micros(lease)), now)
        }))
    }

    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>> {
        let (name, shards) = (name.to_owned(), shards.to_vec());
        Box::pin(self.job(move |conn| {
            let done = match &*shards {
                [] => shards::leave(conn, &name),
                shards => shards::hand_over(conn, &name, shards),
            };
            done.map_err(from_sqlite)
        }))
    }

    fn pending<'a>(
        &'a self,
        name: &'a str,
        wanted: &'a [ShardRead],
        except: &'a [i64],
        paused: &'a [Arc<str>],
        limit: u32,
    ) -> BoxFuture<'a, Result<Page, Error>> {
        let question = Question {
            name: name.to_owned(),
            wanted: wanted.to_vec(),
            except: except.iter().copied().collect(),
            paused: paused.iter().cloned().collect(),
            limit: limit.max(1) as usize,
        };
        Box::pin(self.query(move |conn| {
            let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
            pending::pending(&snapshot, &question, now())
        }))
    }

    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>> {
        let rows = rows.to_vec();
        Box::pin(self.job(move |conn| pending::published(conn, &rows).map_err(from_sqlite)))
    }

    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>> {
        let (name, rejection) = (name.to_owned(), rejection.clone());
        Box::pin(
            self.job(move |conn| rejected::set_aside(conn, &name, &rejection, now()).map_err(from_sqlite)),
        )
    }

    /// The writer of each process that has the file open does the same.
    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(async move {
            self.append_waiting().await?;
            let wait = |due: i64| Duration::from_micros(due.saturating_sub(now()).try_into().unwrap_or(0));
            let next = self.query(delayed::next).await?.map(wait);
            if next != Some(Duration::ZERO) {
                return Ok(next);
            }
            let partitions = self.partitions().get();
            let (appended, next) = self
                .job(move |conn| Ok((delayed::append_due(conn, partitions, now())?, delayed::next(conn)?)))
                .await?;
            self.tell(&appended);
            Ok(next.map(wait))
        })
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.news().woken())
    }
}

fn act(conn: &Connection, action: RejectedAction, id: i64, by: &Operator, now: i64) -> Result<u64, Error> {
    by.check()?;
    let event = rejected::find(conn, id).map_err(from_sqlite)?.ok_or_else(|| no_rejected_event(id))?;
    action.check(id, event.is_rejected)?;
    let act = || {
        let back = match action {
            RejectedAction::Retry => rejected::put_back(conn, &event, now),
            RejectedAction::Discard => rejected::discard(conn, &event, now),
        }?;
        shards::begin_again(conn, event.shard)?;
        Ok(back)
    };
    let back = act().map_err(from_sqlite)?;
    let done = usize::try_from(back).unwrap_or(usize::MAX);
    audit::write_of_event(conn, by, action.as_str(), (id, event.event_id.as_deref()), done, now)?;
    Ok(back)
}

impl RejectedEvents for SqliteStore {
    fn rejected(
        &self,
        after: i64,
        limit: u32,
        with_waiting: bool,
    ) -> BoxFuture<'_, Result<Vec<RejectedEvent>, Error>> {
        Box::pin(self.query(move |conn| rejected::list(conn, after, limit, with_waiting)))
    }

    fn act_on_rejected<'a>(
        &'a self,
        action: RejectedAction,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        let operator = operator.clone();
        Box::pin(async move {
            let back = self.job(move |conn| act(conn, action, id, &operator, now())).await?;
            self.news().wake();
            Ok(back)
        })
    }
}
