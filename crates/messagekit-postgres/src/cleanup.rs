//! Removes rows that are no longer needed.

use messagekit::adapter::BoxFuture;
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep, CleanupTarget};
use messagekit::{Error, Store};
use messagekit_topic_store::TopicDefinitions;

use crate::cdc::Capture;
use crate::tables::cleanup::{self, Stretch};
use crate::tables::days::{self, Divided, Emptied, Position};
use crate::tables::left::{self, Left};
use crate::{PgTx, PostgresStore};

/// An event may go after a relay has published it, or after the slot has passed it. Events stay while neither publishes
/// this outbox, and while a replay runs that may publish them again.
impl Cleanup for PostgresStore {
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>> {
        Box::pin(async move {
            let from = request.from.map(str::parse).transpose()?;
            let dropped = self.clear_first(request).await?;
            let mut tx = self.begin().await?;
            let step = match self.statement(self.stretch(&mut tx, request, from)).await {
                Ok(step) => step,
                Err(error) => {
                    self.rollback(tx).await.ok();
                    return Err(error);
                }
            };
            match request.is_trial {
                true => self.rollback(tx).await?,
                false => self.commit_unhurried(tx).await?,
            }
            Ok(CleanupStep { removed: step.removed + dropped, ..step })
        })
    }
}

impl PostgresStore {
    /// Finishes what a drop of topics, or a migration of one, has left, before the first step of a cleanup of events.
    async fn clear_first(&self, request: CleanupRequest<'_>) -> Result<u64, Error> {
        if request.what != CleanupTarget::Events || request.from.is_some() || request.is_trial {
            return Ok(0);
        }
        let mut rows = 0;
        loop {
            match self.clear_dropped().await? {
                0 => return Ok(rows + self.clear_dead_migrations().await?),
                cleared => rows += cleared,
            }
        }
    }

    async fn stretch(
        &self,
        tx: &mut PgTx,
        CleanupRequest { what, retention, is_trial, .. }: CleanupRequest<'_>,
        from: Option<Position>,
    ) -> Result<CleanupStep, Error> {
        let schema = self.schema();
        let table = Divided::of(what);
        let is_divided = table.is_some() && days::is_divided(tx, schema).await?;
        // Starts over when the tables were partitioned since the last step.
        let from = from.filter(|from| from.part.is_some() == is_divided);
        let from = from.unwrap_or_else(|| Position::first(is_divided));
        let mut left = None;
        if what == CleanupTarget::Events {
            let capture = Capture::by(&self.pool().connect_options(), schema);
            let found = left::left(tx, schema, &capture.slot).await?;
            if let Some(reason) = stays(&found) {
                return Ok(CleanupStep {
                    removed: 0,
                    days: 0,
                    next: None,
                    kept_because: Some(reason.to_owned()),
                });
            }
            left = Some(found);
        }
        if what == CleanupTarget::Markers {
            cleanup::hold_windows(tx, schema).await?;
        }
        let mut whole_days = 0;
        if let (Some(part), Some(table)) = (from.whole_day(), table) {
            let emptied =
                days::empty(tx, schema, table, part, retention.events, left.as_ref(), is_trial).await?;
            whole_days = u64::from(emptied == Emptied::Whole);
            if emptied != Emptied::Late {
                let next = from.next_part().map(|next| next.to_string());
                return Ok(CleanupStep { removed: 0, days: whole_days, next, kept_because: None });
            }
        }
        let Stretch { removed, next } = match (&left, table) {
            (Some(left), _) => cleanup::events(tx, schema, from, retention.events, left).await?,
            (None, Some(_)) => cleanup::markers(tx, schema, from).await?,
            (None, None) => {
                cleanup::failed_messages(tx, schema, from.block, retention.failed_messages).await?
            }
        };
        let next = match next {
            Some(block) => Some(Position { block, ..from }),
            None => from.next_part(),
        };
        Ok(CleanupStep {
            removed,
            days: whole_days,
            next: next.map(|next| next.to_string()),
            kept_because: None,
        })
    }
}

/// Returns the reason why no event of the outbox can be removed now.
fn stays(left: &Left) -> Option<&'static str> {
    match left {
        Left { is_replayed: true, .. } => Some("a replay runs: its events stay until it is done"),
        Left { is_on: true, is_open: false, .. } => {
            Some("the switch to the relay is not complete: run `messagekit migrate --relay`")
        }
        Left { has_slot: true, before: None, .. } => Some(
            "nothing says yet which events the slot has passed: `messagekit admin` notes that while it runs, and the slot must move on",
        ),
        Left { has_slot: false, is_on: false, .. } => {
            Some("nothing publishes this outbox: there is neither a slot nor the trigger of a relay")
        }
        _ => None,
    }
}
