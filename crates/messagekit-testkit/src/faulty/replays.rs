//! A store with one fault in its replays.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    EventCursor, EventFilter, EventHead, Operator, ReplayCount, ReplayIds, ReplayJob, ReplayLease,
    ReplayOrder, ReplayState, Replays, Republication, StoredEvent,
};
use messagekit::{Error, ErrorKind};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    fn meant(&self, filter: &EventFilter) -> EventFilter {
        let mut meant = filter.clone();
        match self.fault {
            Some(Fault::EventsIgnoreType) => meant.event_type = None,
            Some(Fault::EventsIgnoreKey) => meant.key = None,
            Some(Fault::EventsIgnoreTimes) => (meant.from, meant.to) = (None, None),
            Some(Fault::TakesAnyRange) => meant.from = None,
            _ => {}
        }
        meant
    }

    fn misnamed(&self, error: Error) -> Error {
        if self.is(Fault::ReplayMisnamesUnknown) && error.kind() == ErrorKind::NotFound {
            return Error::new(ErrorKind::Conflict, "no such replay");
        }
        error
    }
}

impl Replays for FaultyStore {
    fn events<'a>(
        &'a self,
        filter: &'a EventFilter,
        after: Option<&'a EventCursor>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<EventHead>, Error>> {
        Box::pin(async move {
            let after = after.filter(|_| !self.is(Fault::EventsIgnoreCursor));
            let mut events = self.inner.events(&self.meant(filter), after, limit).await?;
            if self.is(Fault::EventsNewestFirst) {
                events.reverse();
            }
            if self.is(Fault::ListsCopies) {
                events = events
                    .into_iter()
                    .flat_map(|event| vec![event.clone(); 1 + event.copies as usize])
                    .collect();
            }
            Ok(events)
        })
    }

    fn replay_count<'a>(&'a self, filter: &'a EventFilter) -> BoxFuture<'a, Result<ReplayCount, Error>> {
        Box::pin(async move {
            let mut count = self.inner.replay_count(&self.meant(filter)).await?;
            if self.is(Fault::CountForgetsMarkers) {
                count.skipped_by.clear();
            }
            if self.is(Fault::CountForgetsWindows) || self.is(Fault::CountForgetsRemovals) {
                count.too_old_for.clear();
            }
            Ok(count)
        })
    }

    fn order_replay<'a>(
        &'a self,
        order: &'a ReplayOrder,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<ReplayJob, Error>> {
        Box::pin(async move {
            let mut order = ReplayOrder { filter: self.meant(&order.filter), ..order.clone() };
            if self.is(Fault::OrderIgnoresCount) {
                order.count = None;
            }
            if self.is(Fault::ReplayKeepsIds) {
                order.ids = ReplayIds::Same;
            }
            let mut job = self.inner.order_replay(&order, by).await?;
            if self.is(Fault::EmptyReplayRuns) && job.events == 0 {
                job.state = ReplayState::Running;
            }
            Ok(job)
        })
    }

    fn replay(&self, id: i64) -> BoxFuture<'_, Result<ReplayJob, Error>> {
        Box::pin(async move { self.inner.replay(id).await.map_err(|error| self.misnamed(error)) })
    }

    fn replays(&self, before: Option<i64>, limit: u32) -> BoxFuture<'_, Result<Vec<ReplayJob>, Error>> {
        Box::pin(async move {
            let mut replays = self.inner.replays(before, limit).await?;
            if self.is(Fault::ReplaysOldestFirst) {
                replays.reverse();
            }
            Ok(replays)
        })
    }

    fn cancel_replay<'a>(&'a self, id: i64, by: &'a Operator) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move {
            let is_let_through = self.is(Fault::AuditKeepsLongNames) && by.check().is_err();
            if self.is(Fault::CancelDoesNothing) || is_let_through {
                return Ok(());
            }
            self.inner.cancel_replay(id, by).await
        })
    }

    fn lease_replay(
        &self,
        lease: Duration,
    ) -> BoxFuture<'_, Result<Option<(ReplayLease, ReplayJob)>, Error>> {
        Box::pin(async move {
            let mut leased = self.inner.lease_replay(lease).await?;
            if let Some((_, job)) = &leased
                && self.is(Fault::ReplayChoosesLate)
            {
                let by = Operator::new("fault", "test");
                self.inner.cancel_replay(job.id, &by).await?;
                self.inner.order_replay(&job.order, &by).await?;
                leased = self.inner.lease_replay(lease).await?;
            }
            let mut notes = self.notes();
            if leased.is_none() && self.is(Fault::ReplayLeasedTwice) {
                return Ok(notes.replay.clone());
            }
            notes.replay = leased.clone().or(notes.replay.take());
            Ok(leased)
        })
    }

    fn replay_step<'a>(
        &'a self,
        lease: ReplayLease,
        max: u32,
        extend: Duration,
        renamed: Republication<'a>,
    ) -> BoxFuture<'a, Result<Option<ReplayJob>, Error>> {
        let newest = self.notes().replay.as_ref().map(|(newest, _)| *newest);
        let lease = newest.filter(|_| self.is(Fault::StepIgnoresEpoch)).unwrap_or(lease);
        let max = if self.is(Fault::StepIgnoresMax) { u32::MAX } else { max };
        let hides = self.is(Fault::ReplayHidesErrors);
        Box::pin(async move {
            let kept = |event: &StoredEvent| match renamed(event) {
                Err(_) if hides => Ok((event.event_id.clone(), event.message.clone())),
                answer => answer,
            };
            self.inner.replay_step(lease, max, extend, &kept).await
        })
    }
}
