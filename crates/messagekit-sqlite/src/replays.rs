//! Appends kept events to their topics again.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    EventCursor, EventFilter, EventHead, Operator, ReplayCount, ReplayIds, ReplayJob, ReplayLease,
    ReplayOrder, Replays, Republication, replay_ended,
};
use messagekit::{Error, ErrorKind, Message, chain};
use rusqlite::Connection;

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::tables::replay_items::{self, Item};
use crate::tables::{append, micros, now, replay_jobs, stored_events};

/// Events are the records of the topics of this file; a copy comes behind them in the same partition.
impl Replays for SqliteStore {
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>> {
        let (filter, after) = (filter.clone(), after.cloned());
        Box::pin(self.query(move |conn| stored_events::list(conn, &filter, after.as_ref(), limit)))
    }

    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>> {
        let (filter, now) = (filter.clone(), now());
        Box::pin(self.query(move |conn| {
            stored_events::check_range(conn, &filter)?;
            stored_events::count(conn, &filter, now).map_err(from_sqlite)
        }))
    }

    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>> {
        let (order, by, now) = (order.clone(), by.clone(), now());
        Box::pin(self.job(move |conn| replay_jobs::order(conn, &order, &by, now)))
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>> {
        Box::pin(self.query(move |conn| replay_jobs::show(conn, id)))
    }

    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>> {
        Box::pin(self.query(move |conn| replay_jobs::list(conn, before, limit)))
    }

    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>> {
        let (by, now) = (by.clone(), now());
        Box::pin(async move {
            match self.job(move |conn| replay_jobs::cancel(conn, id, &by, now)).await? {
                None => Ok(()),
                Some(state) => Err(replay_ended(id, state)),
            }
        })
    }

    fn lease_replay(
        &self,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>> {
        Box::pin(async move {
            // Polled all the time: take the write lock only when there is work.
            let free = self.query(|conn| replay_jobs::free(conn, now()).map_err(from_sqlite)).await?;
            if free.is_none() {
                return Ok(None);
            }
            self.job(move |conn| {
                let now = now();
                replay_jobs::lease(conn, now.saturating_add(micros(lease)), now)
            })
            .await
        })
    }

    /// Creates the messages between a read and the write, because the write holds the file's only lock. The write checks
    /// that the lease and the list are still the ones that were read.
    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: Duration,
        renamed: Republication<'a>,
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>> {
        Box::pin(async move {
            let next = self.query(move |conn| {
                if !replay_jobs::holds(conn, lease).map_err(from_sqlite)? {
                    return Ok(None);
                }
                let ids = replay_jobs::show(conn, lease.job)?.order.ids;
                Ok(Some((ids, replay_items::next(conn, lease.job, max)?)))
            });
            let Some((ids, items)) = next.await? else { return Ok(None) };
            let copies = copies(items, ids, renamed);
            let partitions = self.partitions().get();
            let job = self.job(move |conn| step(conn, lease, &copies, partitions, extend)).await?;
            // A replay is not urgent, and its step does not report whether a topic is relayed: wake the relays always.
            self.news().wake();
            Ok(job)
        })
    }
}

/// The result of a step: the events to append, or the reason why the replay ends.
enum Copies {
    Append { ids: ReplayIds, places: Vec<(i64, i64)>, messages: Vec<Message> },
    Fail(String),
}

fn copies(items: Vec<Item>, ids: ReplayIds, renamed: Republication<'_>) -> Copies {
    let places = items.iter().map(|item| (item.number, item.position)).collect();
    let message = |item: Item| {
        let event = item.event.ok_or_else(|| {
            Error::new(ErrorKind::OutOfRange, "event is not kept any more").with("position", item.position)
        })?;
        let message = match ids {
            ReplayIds::Same => event.message,
            ReplayIds::New => {
                let mut message = renamed(&event)?.1;
                item.links.of_republication(&event.event_id).add_to(&mut message.headers);
                message
            }
        };
        message.check()?;
        Ok(message)
    };
    match items.into_iter().map(message).collect::<Result<Vec<_>, Error>>() {
        Ok(messages) => Copies::Append { ids, places, messages },
        Err(error) => Copies::Fail(chain(&error)),
    }
}

fn step(
    conn: &Connection,
    lease: ReplayLease,
    copies: &Copies,
    partitions: u32,
    extend: Duration,
) -> Result<Option<ReplayJob>, Error> {
    let now = now();
    if !replay_jobs::holds(conn, lease).map_err(from_sqlite)? {
        return Ok(None);
    }
    match copies {
        Copies::Fail(error) => replay_jobs::fail(conn, lease.job, error, now).map_err(from_sqlite)?,
        Copies::Append { ids, places, messages } => {
            for (number, _) in places {
                if !replay_items::take(conn, lease.job, *number).map_err(from_sqlite)? {
                    return Err(Error::new(ErrorKind::Conflict, "two steps of one replay ran at once")
                        .with("replay", lease.job));
                }
            }
            let appended = append::append(conn, messages, partitions, now)?.positions;
            if *ids == ReplayIds::Same {
                for (copy, (_, original)) in appended.into_iter().zip(places) {
                    replay_items::note_copy(conn, copy, *original).map_err(from_sqlite)?;
                }
            }
            let until = now.saturating_add(micros(extend));
            replay_jobs::progress(conn, lease.job, places.len(), until, now).map_err(from_sqlite)?;
        }
    }
    replay_jobs::show(conn, lease.job).map(Some)
}
