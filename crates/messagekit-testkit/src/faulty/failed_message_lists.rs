//! A store with one fault in failed-message lists and actions.

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    Action, ActionOrder, ActionResult, ChosenMessages, FailedMessage, FailedMessageFilter,
    FailedMessageGroup, FailedMessageHead, FailedMessageState, FailedMessageTotal, FailedMessageVersion,
    FailedMessages, Operator, Pace, StateReason,
};
use messagekit::{Error, ErrorKind};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    fn asked(&self, filter: &FailedMessageFilter) -> FailedMessageFilter {
        let mut asked = filter.clone();
        match self.fault {
            Some(Fault::ListIgnoresState) => asked.state = None,
            Some(Fault::FilterIgnoresOpen) => asked.is_open = false,
            Some(Fault::ListIgnoresBefore) => asked.before = None,
            Some(Fault::FilterIgnoresAfter) => asked.after = None,
            Some(Fault::FilterIgnoresKind) => asked.kind = None,
            Some(Fault::FilterIgnoresFingerprint) => asked.fingerprint = None,
            Some(Fault::FilterIgnoresKey) => asked.key = None,
            Some(Fault::FilterIgnoresTimes) => (asked.since, asked.until) = (None, None),
            Some(Fault::FilterIgnoresOrigin) => asked.origin = None,
            _ => {}
        }
        asked
    }

    /// Shows the reason from before a requested run failed.
    fn forgets_why(&self, head: &mut FailedMessageHead) {
        if self.is(Fault::FailKeepsTheReason) && head.reason == StateReason::RequestedRunFailed {
            head.reason = StateReason::RetryRequested;
        }
    }

    /// Returns the result that a fault reports in place of a refusal.
    fn misjudged(&self, act: Action, result: ActionResult) -> ActionResult {
        match (self.fault, act, result) {
            (
                Some(Fault::RetryWithoutCompareAndSet | Fault::PlannedRunIsRetriedTwice),
                Action::Retry,
                ActionResult::WrongState(_),
            )
            | (Some(Fault::RetryInventsFailedMessages), Action::Retry, ActionResult::NotFound)
            | (Some(Fault::ActsWithoutCompareAndSet), _, ActionResult::WrongState(_))
            | (
                Some(Fault::RetriesWhatWaits),
                Action::Retry,
                ActionResult::WrongState(FailedMessageState::Blocked),
            )
            | (
                Some(Fault::RetriesWithoutAWayBack),
                Action::Retry,
                ActionResult::WrongState(FailedMessageState::Dead),
            ) => ActionResult::Done,
            _ => result,
        }
    }
}

impl FaultyStore {
    async fn act_on_ids(&self, act: Action, ids: &[i64], by: &Operator) -> Result<Vec<ActionResult>, Error> {
        let done = vec![ActionResult::Done; ids.len()];
        match (self.fault, act) {
            (Some(Fault::RetryDoesNothing), Action::Retry)
            | (Some(Fault::DiscardDoesNothing), Action::Discard) => {
                return Ok(done);
            }
            (Some(Fault::ActLooksFirst | Fault::RunNowLooksFirst), _) => {
                let mut looked = Vec::new();
                for id in ids {
                    let state = self.inner.show(*id).await?.state;
                    looked.push(if act.of(state).is_some() {
                        ActionResult::Done
                    } else {
                        ActionResult::WrongState(state)
                    });
                }
                // A real database answers later. Another process reads the state meanwhile.
                tokio::task::yield_now().await;
                if looked == done {
                    self.inner.act(act, ids, by).await?;
                }
                return Ok(looked);
            }
            (_, Action::Retry) => self.notes().replayed.extend(ids),
            (_, Action::Discard) => self.notes().discarded.extend(ids),
            (_, Action::Undo) => self.notes().undone.extend(ids),
        }
        if let Some(result) = self.run_now_with_fault(act, ids, by).await? {
            return Ok(result);
        }
        if self.is(Fault::UndoTakesARequestBack) && act == Action::Undo {
            self.inner.act(Action::Discard, ids, by).await?;
        }
        let result = self.inner.act(act, ids, by).await?;
        let asked_before = ids.iter().all(|id| self.notes().replayed.contains(id));
        let asks_again = self.is(Fault::UndoRepeatsARequest) && asked_before;
        if act == Action::Undo && (asks_again || self.is(Fault::UndoRetriesADeadHead)) {
            self.inner.act(Action::Retry, ids, by).await?;
        }
        if self.is(Fault::OneFailedMessageFailsAll) && result.contains(&ActionResult::Settled) {
            return Err(Error::new(ErrorKind::Corrupt, "marker contradicts its failed message"));
        }
        if self.is(Fault::UndoTrustsRetention) && act == Action::Undo {
            for id in ids {
                let head = self.inner.show(*id).await?.head;
                self.inner.forget_marker(&head.consumer, &head.message_id);
            }
        }
        let mut result: Vec<ActionResult> =
            result.into_iter().map(|result| self.misjudged(act, result)).collect();
        if self.is(Fault::ActAnswersBackwards) {
            result.reverse();
        }
        Ok(result)
    }
}

impl FailedMessages for FaultyStore {
    fn list<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageHead>, Error>> {
        Box::pin(async move {
            let mut failed_messages = self.inner.list(&self.asked(filter), limit).await?;
            match self.fault {
                Some(Fault::ListsOldestFirst) => failed_messages.reverse(),
                Some(Fault::ListForgetsSizes) => {
                    failed_messages.iter_mut().for_each(|failed_message| failed_message.payload_bytes = 0);
                }
                Some(Fault::ListForgetsWhatWaits) => {
                    failed_messages.iter_mut().for_each(|failed_message| failed_message.holds_back = 0);
                }
                Some(Fault::UndoneDies) => {
                    let undone = self.notes().undone.clone();
                    let brought_back = failed_messages
                        .iter_mut()
                        .filter(|failed_message| undone.contains(&failed_message.id));
                    brought_back.for_each(|failed_message| failed_message.state = FailedMessageState::Dead);
                }
                Some(Fault::UndoneLeavesItsTurn) => {
                    let undone = self.notes().undone.clone();
                    let brought_back = failed_messages.iter_mut().filter(|failed_message| {
                        failed_message.state == FailedMessageState::Blocked
                            && undone.contains(&failed_message.id)
                    });
                    brought_back
                        .for_each(|failed_message| failed_message.state = FailedMessageState::RetryScheduled);
                }
                _ => {}
            }
            failed_messages.iter_mut().for_each(|head| self.forgets_why(head));
            Ok(failed_messages)
        })
    }

    fn versions<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageVersion>, Error>> {
        Box::pin(async move {
            let versions = self.inner.versions(&self.asked(filter), limit).await?;
            Ok(self.mistaken(versions))
        })
    }

    fn show(&self, id: i64) -> BoxFuture<'_, Result<FailedMessage, Error>> {
        Box::pin(async move {
            let mut failed_message = match self.inner.show(id).await {
                Err(_) if self.is(Fault::ShowMisnamesUnknown) => {
                    return Err(Error::new(ErrorKind::Conflict, "no such failed message"));
                }
                answer => answer?,
            };
            if self.is(Fault::ForgetsKills) || self.notes().handed_back.contains(&id) {
                failed_message.head.crash_count = 0;
            }
            self.forgets_why(&mut failed_message.head);
            self.mistake_runs(&mut failed_message);
            Ok(failed_message)
        })
    }

    fn totals<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageTotal>, Error>> {
        Box::pin(async move {
            let mut totals = self.inner.totals(&self.asked(filter)).await?;
            if self.is(Fault::TotalsCountOpenFailedMessages) {
                totals.retain(|total| total.state.is_open());
            }
            Ok(totals)
        })
    }

    fn groups<'a>(
        &'a self,
        filter: &'a FailedMessageFilter,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<FailedMessageGroup>, Error>> {
        Box::pin(async move {
            let mut groups = self.inner.groups(&self.asked(filter), limit).await?;
            if self.is(Fault::GroupsSmallestFirst) {
                groups.reverse();
            }
            if self.is(Fault::GroupsShowTheOldest) {
                for group in &mut groups {
                    let alike = FailedMessageFilter {
                        fingerprint: Some(group.fingerprint.clone()),
                        ..filter.clone()
                    };
                    group.newest = self.inner.ids(&alike, 1).await?[0];
                    group.error = self.inner.show(group.newest).await?.head.error;
                }
            }
            Ok(groups)
        })
    }

    fn apply<'a>(&'a self, order: ActionOrder<'a>) -> BoxFuture<'a, Result<Vec<ActionResult>, Error>> {
        Box::pin(async move {
            match order.messages {
                ChosenMessages::Batch(batch) => self.act_on_batch(order, batch).await,
                ChosenMessages::Ids(ids) if order.pace == Pace::default() => {
                    self.act_on_ids(order.action, ids, order.operator).await
                }
                ChosenMessages::Ids(ids) => match self.fault {
                    Some(Fault::PaceIsIgnored) => self.act(order.action, ids, order.operator).await,
                    Some(Fault::PacePostponesRuns) => self.postponed(ids, order.pace, order.operator).await,
                    _ => self.inner.apply(order).await,
                },
            }
        })
    }

    fn act_on<'a>(
        &'a self,
        act: Action,
        id: i64,
        by: &'a Operator,
    ) -> BoxFuture<'a, Result<FailedMessageState, Error>> {
        Box::pin(async move {
            let before = self.inner.show(id).await.map(|shown| shown.state);
            let stored = self.inner.act_on(act, id, by).await?;
            match self.is(Fault::ActAnswersTheUsualState) {
                true => Ok(act.of(before?).unwrap_or(stored)),
                false => Ok(stored),
            }
        })
    }
}
