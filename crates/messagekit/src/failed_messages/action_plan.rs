//! Decides what an action of an operator does with each failed message, before a store moves any of them.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Action, ActionResult, FailedMessageState, Operator, Pace, SelectionBatch};

/// An action on failed messages, which a store applies in one transaction.
#[derive(Clone, Copy, Debug)]
pub struct ActionOrder<'a> {
    /// The action.
    pub action: Action,
    /// The failed messages.
    pub messages: ChosenMessages<'a>,
    /// When retries are due.
    pub pace: Pace,
    /// Who acts.
    pub operator: &'a Operator,
}

impl<'a> ActionOrder<'a> {
    /// Orders an action on failed messages by their numbers, which are distinct. Retries are due at once.
    pub fn new(action: Action, ids: &'a [i64], operator: &'a Operator) -> Self {
        Self { action, messages: ChosenMessages::Ids(ids), pace: Pace::default(), operator }
    }
}

/// The failed messages of an action. The results have the same order.
#[derive(Clone, Copy, Debug)]
pub enum ChosenMessages<'a> {
    /// By their numbers, which are distinct.
    Ids(&'a [i64]),
    /// A batch of a selection. A message whose version differs, or that the filter does not match any more, is left alone.
    Batch(SelectionBatch<'a>),
}

impl ChosenMessages<'_> {
    /// Returns their numbers.
    pub fn ids(&self) -> Cow<'_, [i64]> {
        match self {
            Self::Ids(ids) => Cow::Borrowed(ids),
            Self::Batch(batch) => Cow::Owned(batch.ids()),
        }
    }
}

/// A failed message as an action finds it under its lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionTarget {
    /// Its number.
    pub id: i64,
    /// Its state.
    pub state: FailedMessageState,
    /// A run of it is due by now, or is running.
    pub is_due: bool,
    /// A retry can run it: its consumer reads it from the database, or its broker knows where to send it.
    pub has_way_back: bool,
    /// Its marker says something else than its state: retention removed the marker, and a late copy was settled since.
    pub is_contradicted: bool,
}

impl ActionTarget {
    /// Returns what becomes of the failed message. [`StateMachine::act`](super::StateMachine::act) has the state after it.
    ///
    /// A retry never causes a second run, so it does not apply to a message that is due. A discard and its undo move the marker, so they do
    /// not apply to a message whose marker contradicts it.
    pub fn judge(&self, action: Action) -> ActionResult {
        let is_possible = action.of(self.state).is_some();
        match action {
            Action::Retry if is_possible && self.has_way_back && !self.is_due => ActionResult::Done,
            Action::Discard | Action::Undo if is_possible => {
                if self.is_contradicted {
                    ActionResult::Settled
                } else {
                    ActionResult::Done
                }
            }
            _ => ActionResult::WrongState(self.state),
        }
    }
}

/// The results of an action, and the failed messages that the store moves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionPlan {
    /// The results, in the order of [`ActionOrder::messages`].
    pub results: Vec<ActionResult>,
    /// The numbers of the failed messages to move, in the same order, each with the delay of its retry.
    pub moves: Vec<(i64, Duration)>,
}

impl ActionPlan {
    /// Judges the failed messages that were found; of a batch, only the unchanged ones.
    pub fn new(order: &ActionOrder<'_>, targets: impl IntoIterator<Item = ActionTarget>) -> Self {
        let judged: BTreeMap<i64, ActionResult> =
            targets.into_iter().map(|target| (target.id, target.judge(order.action))).collect();
        let absent = match order.messages {
            ChosenMessages::Ids(_) => ActionResult::NotFound,
            ChosenMessages::Batch(_) => ActionResult::Changed,
        };
        let (mut results, mut moves, mut moved) = (Vec::new(), Vec::new(), BTreeSet::new());
        for id in order.messages.ids().iter() {
            let result = judged.get(id).copied().unwrap_or(absent);
            if result == ActionResult::Done && moved.insert(*id) {
                moves.push((*id, order.pace.delay(moves.len())));
            }
            results.push(result);
        }
        Self { results, moves }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::operations::StateMachine;

    fn target(id: i64, state: FailedMessageState) -> ActionTarget {
        ActionTarget { id, state, is_due: false, has_way_back: true, is_contradicted: false }
    }

    fn plan(action: Action, pace: Pace, ids: &[i64], targets: &[ActionTarget]) -> ActionPlan {
        let operator = Operator::new("ann", "cli");
        let order = ActionOrder { pace, ..ActionOrder::new(action, ids, &operator) };
        ActionPlan::new(&order, targets.iter().copied())
    }

    #[test]
    fn accepted_retries_are_delayed_by_their_rank() {
        let dead = |id| target(id, FailedMessageState::Dead);
        let targets = [dead(1), ActionTarget { has_way_back: false, ..dead(2) }, dead(3)];
        let plan = plan(Action::Retry, Pace::per_second(1).unwrap(), &[3, 2, 9, 1, 3], &targets);
        assert_eq!(plan.moves, [(3, Duration::ZERO), (1, Duration::from_secs(1))], "each once");
        let refused = ActionResult::WrongState(FailedMessageState::Dead);
        assert_eq!(
            plan.results,
            [ActionResult::Done, refused, ActionResult::NotFound, ActionResult::Done, ActionResult::Done]
        );
    }

    #[test]
    fn message_that_is_due_is_not_retried_and_is_discarded() {
        let due = ActionTarget { is_due: true, ..target(1, FailedMessageState::RetryScheduled) };
        assert_eq!(due.judge(Action::Retry), ActionResult::WrongState(due.state));
        assert_eq!(due.judge(Action::Discard), ActionResult::Done);
        assert_eq!(due.judge(Action::Undo), ActionResult::WrongState(due.state));
    }

    #[test]
    fn discard_and_undo_yield_to_a_late_copy() {
        for (action, state) in
            [(Action::Discard, FailedMessageState::Dead), (Action::Undo, FailedMessageState::Discarded)]
        {
            let late = ActionTarget { is_contradicted: true, ..target(1, state) };
            assert_eq!(late.judge(action), ActionResult::Settled);
            assert_eq!(target(1, state).judge(action), ActionResult::Done);
        }
    }

    #[test]
    fn plan_and_state_machine_agree_on_every_message() {
        let now = Timestamp::UNIX_EPOCH;
        let dues = [None, Some(now), Some(now + Duration::from_secs(1))];
        for state in FailedMessageState::ALL {
            for (due, running) in dues.into_iter().flat_map(|due| [(due, false), (due, true)]) {
                let message = StateMachine { state, due, running, ..StateMachine::set_aside(1, due) };
                let is_planned =
                    matches!(state, FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested);
                if is_planned != due.is_some() || (running && !is_planned) {
                    continue;
                }
                let is_due = running || due.is_some_and(|due| due <= now);
                for action in [Action::Retry, Action::Discard, Action::Undo] {
                    let judged = ActionTarget { is_due, ..target(1, state) }.judge(action);
                    let acted = message.clone().act(action, now);
                    assert_eq!(judged == ActionResult::Done, acted.is_ok(), "{action} of {message:?}");
                }
            }
        }
    }
}
