//! Publishes kept events again.
//!
//! Under their own ids, events are published as copies: rows with a higher `copy` and otherwise equal. The copy keeps
//! `created_at`, which Debezium sends as `createdAt`, so a consumer's dedup window judges it by the age of the original.
//! Under new ids they are new events with their own time. No consumer has a marker of them, however old the original is.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    EventCursor, EventFilter, EventHead, Operator, ReplayCount, ReplayIds, ReplayJob, ReplayLease,
    ReplayOrder, ReplayState, Replays, Republication, no_replay, replay_ended,
};
use messagekit::{Error, ErrorKind, Store, chain};
use sqlx::PgConnection;

use crate::error::from_sqlx;
use crate::tables::audit::{self, AuditRow};
use crate::tables::replay_items::{self, Items};
use crate::tables::{events, replay_jobs, stored_events};
use crate::{PgTx, PostgresStore, SchemaName};

/// The limit for counting and choosing, whatever the connections' `statement_timeout` is.
const LONG: Duration = Duration::from_secs(600);

impl PostgresStore {
    /// Begins a transaction whose statements may scan the whole outbox.
    async fn begin_long(&self) -> Result<PgTx, Error> {
        const LIMIT: &str = "SET LOCAL statement_timeout = '600s'";
        let mut tx = self.begin().await?;
        self.statement(async { sqlx::raw_sql(LIMIT).execute(&mut *tx).await.map(drop).map_err(from_sqlx) })
            .await?;
        Ok(tx)
    }

    async fn audit_replay(
        &self,
        tx: &mut PgTx,
        by: &Operator,
        action: &'static str,
        id: i64,
        done: bool,
        outcome: serde_json::Value,
    ) -> Result<(), Error> {
        let subject = Some(id.to_string());
        let row = AuditRow { action, failed_messages: None, subject, done: usize::from(done) };
        audit::write(tx, self.schema(), by, &row, Some(outcome)).await
    }

    async fn step(
        &self,
        lease: ReplayLease,
        max: u32,
        extend: Duration,
        renamed: Republication<'_>,
    ) -> Result<Option<ReplayJob>, Error> {
        let mut tx = self.begin().await?;
        let held = replay_jobs::hold(&mut tx, self.schema(), lease.job, lease.epoch);
        let Some((job, behind)) = self.statement(held).await? else {
            self.rollback(tx).await?;
            return Ok(None);
        };
        let upto = behind.saturating_add(i64::from(max.max(1))).min(job.events.cast_signed());
        let items = Items { job: lease.job, behind, upto };
        let published = match job.order.ids {
            ReplayIds::Same => self.statement(replay_items::copy(&mut tx, self.schema(), items)).await,
            ReplayIds::New => self.statement(self.rename(&mut tx, items, renamed)).await,
        };
        let published = match published {
            Ok(published) => published,
            Err(error) if is_final(&error) => {
                self.rollback(tx).await?;
                return self.give_up(lease, &error).await;
            }
            Err(error) => return Err(error),
        };
        let job =
            self.statement(replay_jobs::advance(&mut tx, self.schema(), items, published, extend)).await?;
        self.commit(tx).await?;
        Ok(Some(job))
    }

    /// Writes events under new ids, and returns their number.
    async fn rename(&self, tx: &mut PgTx, items: Items, renamed: Republication<'_>) -> Result<i64, Error> {
        let taken = replay_items::take(tx, self.schema(), items).await?;
        let mut messages = Vec::with_capacity(taken.len());
        for (event, links) in taken {
            // An error of a caller's function is never retried.
            let (_, mut message) = renamed(&event).map_err(|error| {
                Error::new(ErrorKind::InvalidEvent, "event cannot go out under a new id")
                    .with("id", &event.event_id)
                    .caused_by(error)
            })?;
            links.of_republication(&event.event_id).add_to(&mut message.headers);
            messages.push(message);
        }
        events::write(tx, self.schema(), &messages).await?;
        Ok(i64::try_from(messages.len()).unwrap_or(i64::MAX))
    }

    async fn give_up(&self, lease: ReplayLease, error: &Error) -> Result<Option<ReplayJob>, Error> {
        let mut tx = self.begin_long().await?;
        let text = chain(error).to_string();
        let failed = replay_jobs::fail(&mut tx, self.schema(), lease.job, lease.epoch, &text);
        let failed = self.statement_within(LONG, failed).await?;
        self.commit(tx).await?;
        Ok(failed)
    }
}

/// Returns whether the same events would fail again.
fn is_final(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidEvent | ErrorKind::TooLarge)
}

async fn counted(
    connection: &mut PgConnection,
    schema: &SchemaName,
    filter: &EventFilter,
) -> Result<ReplayCount, Error> {
    stored_events::check_range(connection, schema, filter).await?;
    let events = stored_events::count(connection, schema, filter).await?;
    let skipped_by = stored_events::skipped_by(connection, schema, filter).await?;
    let too_old_for = stored_events::too_old_for(connection, schema, filter).await?;
    Ok(ReplayCount { events, skipped_by, too_old_for })
}

impl Replays for PostgresStore {
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            stored_events::events(&mut connection, self.schema(), filter, after, limit).await
        }))
    }

    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>> {
        Box::pin(async move {
            if self.reads_are_limited() {
                let counted = self.read(move |mut connection| async move {
                    counted(&mut connection, self.schema(), filter).await
                });
                return counted.await;
            }
            let mut tx = self.begin_long().await?;
            let count = self.statement_within(LONG, counted(&mut tx, self.schema(), filter)).await?;
            self.rollback(tx).await?;
            Ok(count)
        })
    }

    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>> {
        Box::pin(async move {
            let mut tx = self.begin_long().await?;
            let ordered = self.statement_within(LONG, async {
                stored_events::check_range(&mut tx, self.schema(), &order.filter).await?;
                let job = replay_jobs::order(&mut tx, self.schema(), order, &by.name).await?;
                let outcome = serde_json::json!({ "events": job.events, "ids": job.order.ids.as_str() });
                self.audit_replay(&mut tx, by, "replay", job.id, true, outcome).await?;
                Ok(job)
            });
            let job = ordered.await?;
            self.commit(tx).await?;
            Ok(job)
        })
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            let job = replay_jobs::replay(&mut connection, self.schema(), id).await?;
            job.ok_or_else(|| no_replay(id))
        }))
    }

    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            replay_jobs::replays(&mut connection, self.schema(), before, limit).await
        }))
    }

    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let mut tx = self.begin_long().await?;
            let work = self.statement_within(LONG, async {
                let cancelled = replay_jobs::cancel(&mut tx, self.schema(), id).await?;
                let job = replay_jobs::replay(&mut tx, self.schema(), id).await?;
                let state = job.map(|job| job.state);
                let outcome = serde_json::json!({ "state": state.map(ReplayState::as_str) });
                self.audit_replay(&mut tx, by, "cancel-replay", id, cancelled, outcome).await?;
                Ok((cancelled, state))
            });
            let (cancelled, state) = work.await?;
            self.commit(tx).await?;
            match state {
                None => Err(no_replay(id)),
                Some(_) if cancelled => Ok(()),
                Some(state) => Err(replay_ended(id, state)),
            }
        })
    }

    fn lease_replay(
        &self,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>> {
        Box::pin(self.statement(async move {
            let leased = replay_jobs::lease(&mut *self.connection().await?, self.schema(), lease).await?;
            Ok(leased.map(|(epoch, job)| (ReplayLease { job: job.id, epoch }, job)))
        }))
    }

    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: Duration,
        renamed: Republication<'a>,
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>> {
        Box::pin(self.step(lease, max, extend, renamed))
    }
}
