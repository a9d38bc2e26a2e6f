//! The outbox as a relay reads it.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::Operator;
use messagekit::relay::{
    Leases, OutboxReader, Page, PendingId, RejectedAction, RejectedEvent, RejectedEvents, Rejection,
    ShardLease, ShardRead, no_rejected_event,
};
use messagekit::{Error, Store};
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::relay_connections::RelayConnection;
use crate::tables::{audit, delayed, pending, rejected, shards};

impl PostgresStore {
    async fn relayed<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let work = async move |link: &mut RelayConnection| work(&mut link.connection).await;
        self.statement(self.relay_connections().with(self.pool(), work)).await
    }
}

/// Beside its pool the store opens a few connections for the relays of the process.
impl OutboxReader for PostgresStore {
    fn lease<'a>(&'a self, name: &'a str, lease: Duration) -> BoxFuture<'a, Result<Leases, Error>> {
        Box::pin(async move {
            let is_present = self.presence().keep(self.pool(), name, lease);
            self.relayed(async move |link| shards::lease(link, self.schema(), name, lease, is_present).await)
                .await
        })
    }

    fn hand_over<'a>(&'a self, name: &'a str, shards: &'a [ShardLease]) -> BoxFuture<'a, Result<(), Error>> {
        if shards.is_empty() {
            self.presence().end(name);
        }
        Box::pin(self.relayed(async move |link| match shards {
            [] => shards::leave(link, self.schema(), name).await,
            _ => shards::hand_over(link, self.schema(), name, shards).await,
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
        let work = async move |link: &mut RelayConnection| {
            // Read the stable position before the rows, so that the query sees every row up to it.
            let decided = self.decided().upto(link, self.schema()).await?;
            let server = link.server.clone().unwrap_or_default();
            let connection = &mut link.connection;
            let page =
                pending::pending(connection, self.schema(), name, wanted, except, paused, limit).await?;
            Ok(Page { stable: decided, server, ..page })
        };
        Box::pin(self.statement(self.relay_connections().with(self.pool(), work)))
    }

    fn published<'a>(&'a self, rows: &'a [PendingId]) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.relayed(async move |link| pending::published(link, self.schema(), rows).await))
    }

    fn set_aside<'a>(&'a self, name: &'a str, rejection: &'a Rejection) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let moved = self.statement(async {
                match shards::hold(&mut tx, self.schema(), name, rejection.lease).await? {
                    true => rejected::set_aside(&mut tx, self.schema(), rejection).await,
                    false => Ok(0),
                }
            });
            let moved = moved.await?;
            self.commit(tx).await?;
            Ok(moved)
        })
    }

    fn due(&self) -> BoxFuture<'_, Result<Option<Duration>, Error>> {
        Box::pin(self.relayed(async move |link| delayed::due(link, self.schema()).await))
    }

    fn woken(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.news().woken())
    }
}

impl PostgresStore {
    async fn act_on_rejected_in(
        &self,
        tx: &mut PgConnection,
        action: RejectedAction,
        id: i64,
        operator: &Operator,
    ) -> Result<u64, Error> {
        let schema = self.schema();
        // An event never changes its shard, so it can be read before the lock; everything else is read under the lock.
        let event = rejected::find(tx, schema, id).await?.ok_or_else(|| no_rejected_event(id))?;
        shards::hold_any(tx, schema, event.shard).await?;
        let event = rejected::find(tx, schema, id).await?.ok_or_else(|| no_rejected_event(id))?;
        action.check(id, event.is_rejected)?;
        let back = rejected::act(tx, schema, action, id).await?;
        shards::begin_again(tx, schema, event.shard).await?;
        let done = usize::try_from(back).unwrap_or(usize::MAX);
        let subject = Some(event.event_id);
        let row = audit::AuditRow { action: action.as_str(), failed_messages: None, subject, done };
        audit::write(tx, schema, operator, &row, None).await?;
        Ok(back)
    }
}

impl RejectedEvents for PostgresStore {
    fn rejected(
        &self,
        after: i64,
        limit: u32,
        with_waiting: bool,
    ) -> BoxFuture<'_, Result<Vec<RejectedEvent>, Error>> {
        Box::pin(self.statement(async move {
            rejected::list(&mut *self.connection().await?, self.schema(), after, limit, with_waiting).await
        }))
    }

    fn act_on_rejected<'a>(
        &'a self,
        action: RejectedAction,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<u64, Error>> {
        Box::pin(async move {
            let mut tx = self.begin().await?;
            let back = self.statement(self.act_on_rejected_in(&mut tx, action, id, operator)).await?;
            self.commit(tx).await?;
            self.news().wake();
            Ok(back)
        })
    }
}
