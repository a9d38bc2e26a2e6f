//! Faults of operators' actions. They act in `apply`, whoever calls it.

use std::time::Duration;

use messagekit::adapter::Retries;
use messagekit::operations::{
    Action, ActionOrder, ActionResult, ChosenMessages, FailedMessageFilter, FailedMessageState,
    FailedMessageVersion, FailedMessages, Pace, SelectionBatch, StateReason,
};
use messagekit::{Error, ErrorKind};

use super::methods::faults;
use super::store::{Fault, FaultyStore, chosen};
use super::{Row, Suite};

type Answered = Result<Vec<ActionResult>, Error>;

/// Reports some refusals of an action as done.
async fn misjudge(
    faulty: &FaultyStore,
    order: ActionOrder<'_>,
    is_hidden: impl Fn(Action, ActionResult) -> bool + Send,
) -> Answered {
    let results = faulty.noting(order).await?;
    let judge = |result| if is_hidden(order.action, result) { ActionResult::Done } else { result };
    Ok(results.into_iter().map(judge).collect())
}

/// Reports an action as done without doing it, if it is this one.
async fn pretend(faulty: &FaultyStore, order: ActionOrder<'_>, action: Action) -> Answered {
    match order.action == action {
        true => Ok(vec![ActionResult::Done; chosen(&order).len()]),
        false => faulty.noting(order).await,
    }
}

/// Reads the states first, and acts later.
async fn look_first(faulty: &FaultyStore, order: ActionOrder<'_>) -> Answered {
    let mut looked = Vec::new();
    for id in chosen(&order) {
        let state = faulty.inner.show(*id).await?.state;
        let applies = order.action.of(state).is_some();
        looked.push(if applies { ActionResult::Done } else { ActionResult::WrongState(state) });
    }
    // A real database answers later. Another process reads the state meanwhile.
    tokio::task::yield_now().await;
    if looked.iter().all(|result| *result == ActionResult::Done) {
        faulty.noting(order).await?;
    }
    Ok(looked)
}

/// Acts on messages one way after the other, and returns the last results.
async fn in_turn(faulty: &FaultyStore, order: ActionOrder<'_>, actions: &[Action]) -> Answered {
    let mut results = Vec::new();
    for action in actions {
        results = faulty.noting(ActionOrder { action: *action, ..order }).await?;
    }
    Ok(results)
}

/// Returns whether an order names one message, which is in a state.
async fn is_one_in(faulty: &FaultyStore, order: &ActionOrder<'_>, state: FailedMessageState) -> bool {
    let [id] = chosen(order) else { return false };
    faulty.inner.show(*id).await.is_ok_and(|shown| shown.state == state)
}

/// Acts on a batch of a selection another way, or on named messages.
fn batch<'a>(order: &ActionOrder<'a>) -> Option<SelectionBatch<'a>> {
    match order.messages {
        ChosenMessages::Batch(batch) => Some(batch),
        ChosenMessages::Ids(_) => None,
    }
}

fn first_version(id: i64) -> FailedMessageVersion {
    FailedMessageVersion::new(id, 0, FailedMessageState::Dead, false)
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// A retry by an operator does nothing.
    Store operator_retry_runs_a_failed_message_once:
        call apply: |faulty, order| pretend(faulty, order, Action::Retry).await;
    /// A retry by an operator does not check the state.
    Store second_retry_changes_nothing:
        call apply: |faulty, order| misjudge(faulty, order, |action, result| {
            matches!((action, result), (Action::Retry, ActionResult::WrongState(_)))
        }).await;
    /// A retry of an unknown failed message succeeds.
    Store retry_of_an_unknown_failed_message_is_not_found:
        call apply: |faulty, order| misjudge(faulty, order, |action, result| {
            matches!((action, result), (Action::Retry, ActionResult::NotFound))
        }).await;
    /// A failed message without a redelivery target is retried.
    Store failed_message_without_a_way_back_is_not_retried:
        call apply: |faulty, order| misjudge(faulty, order, |action, result| {
            (action, result) == (Action::Retry, ActionResult::WrongState(FailedMessageState::Dead))
        }).await;
    /// A retry of a waiting message is accepted.
    Store waiting_failed_message_is_not_retried:
        call apply: |faulty, order| misjudge(faulty, order, |action, result| {
            (action, result) == (Action::Retry, ActionResult::WrongState(FailedMessageState::Blocked))
        }).await;
    /// Actions do not check the state.
    Store acts_need_the_right_state:
        call apply: |faulty, order| misjudge(faulty, order, |_, result| {
            matches!(result, ActionResult::WrongState(_))
        }).await;
    /// An action reads first and writes later.
    Store two_operators_at_once_act_once: call apply: |faulty, order| look_first(faulty, order).await;
    /// Action results are in reverse order.
    Store acts_answer_in_order: answer apply: |_, results| results.reverse();
    /// Paced retries are all due at once.
    Store paced_retries_are_due_one_after_the_other: arguments apply: |_, order| order.pace = Pace::default();
    /// A retry of a scheduled run requests one, whose failure is the end.
    Store scheduled_run_is_retried_now:
        call apply: |faulty, order| {
            let is_scheduled = is_one_in(faulty, &order, FailedMessageState::RetryScheduled).await;
            match order.action {
                Action::Retry if is_scheduled => {
                    in_turn(faulty, order, &[Action::Discard, Action::Undo, Action::Retry]).await
                }
                _ => faulty.noting(order).await,
            }
        };
    /// A retry of a run that is due, or in flight, is accepted again.
    Store second_retry_of_a_planned_run_changes_nothing:
        call apply: |faulty, order| misjudge(faulty, order, |action, result| {
            matches!((action, result), (Action::Retry, ActionResult::WrongState(_)))
        }).await;
    /// A retry reads first and writes later.
    Store retries_at_once_of_a_planned_run_cause_one_run:
        call apply: |faulty, order| look_first(faulty, order).await;
    /// A run that an operator requested stays planned for later.
    Store requested_run_is_retried_now:
        call apply: |faulty, order| {
            match is_one_in(faulty, &order, FailedMessageState::RetryRequested).await {
                true => pretend(faulty, order, Action::Retry).await,
                false => faulty.noting(order).await,
            }
        };
    /// A pace puts a planned run off.
    Store pace_postpones_no_planned_run:
        call apply: |faulty, order| {
            let results = faulty.noting(ActionOrder { pace: Pace::default(), ..order }).await?;
            for id in chosen(&order).iter().filter(|_| order.pace != Pace::default()) {
                let consumer = faulty.inner.show(*id).await?.consumer.clone();
                for leased in faulty.inner.lease(&consumer, 1, Duration::ZERO).await? {
                    faulty.inner.hand_back(&consumer, &leased, order.pace.delay(0)).await?;
                }
            }
            Ok(results)
        };
    /// A message has one version for ever.
    Store every_change_makes_another_version:
        answer versions: |_, versions| {
            versions.iter_mut().for_each(|version| *version = first_version(version.id));
        };
    /// A digest of a selection covers its count and not its ids.
    Store swap_inside_a_selection_changes_its_digest:
        answer versions: |_, versions| versions.fill(first_version(1));
    /// An action on a selection does not compare versions.
    Store changed_message_of_a_selection_is_skipped:
        call apply: |faulty, order| match batch(&order) {
            Some(batch) => faulty.inner.act(order.action, &batch.ids(), order.operator).await,
            None => faulty.noting(order).await,
        };
    /// An action on a selection does not compare the filter.
    Store message_outside_the_filter_is_skipped:
        call apply: |faulty, order| {
            let every = FailedMessageFilter::default();
            let all = |batch| ChosenMessages::Batch(SelectionBatch { filter: &every, ..batch });
            let messages = batch(&order).map_or(order.messages, all);
            faulty.inner.apply(ActionOrder { messages, ..order }).await
        };
    /// A message that moved up in its key counts as changed.
    Store key_is_discarded_in_several_batches:
        call apply: |faulty, order| {
            let ids = batch(&order).map_or(Vec::new(), |batch| batch.ids());
            for id in &ids {
                if faulty.inner.show(*id).await?.reason == StateReason::KeyFreed {
                    return Ok(vec![ActionResult::Changed; ids.len()]);
                }
            }
            faulty.noting(order).await
        };
    /// Retries of a selection are due at once.
    Store selection_is_retried_at_its_pace: arguments apply: |_, order| order.pace = Pace::default();
    /// A discard does nothing.
    Store discarded_message_is_never_applied:
        call apply: |faulty, order| pretend(faulty, order, Action::Discard).await;
    /// An undo does not restore a marker that retention removed.
    Store undo_after_a_forgotten_marker_holds_the_message_again:
        call apply: |faulty, order| {
            let results = faulty.noting(order).await?;
            for id in chosen(&order).iter().filter(|_| order.action == Action::Undo) {
                let head = faulty.inner.show(*id).await?.head;
                faulty.inner.forget_marker(&head.consumer, &head.message_id);
            }
            Ok(results)
        };
    /// One failed message that contradicts its marker fails the action on all.
    Store act_against_a_late_copy_is_refused_alone:
        call apply: |faulty, order| {
            let results = faulty.noting(order).await?;
            match results.contains(&ActionResult::Settled) {
                true => Err(Error::new(ErrorKind::Corrupt, "marker contradicts its failed message")),
                false => Ok(results),
            }
        };
    /// An undo requests a run of a message that was dead.
    Store dead_head_that_is_brought_back_runs_on_request:
        call apply: |faulty, order| {
            let results = faulty.noting(order).await?;
            if order.action == Action::Undo {
                in_turn(faulty, order, &[Action::Retry]).await?;
            }
            Ok(results)
        };
    /// An undo repeats the request that was discarded.
    Store request_does_not_survive_a_discard_and_its_undo:
        call apply: |faulty, order| {
            let results = faulty.noting(order).await?;
            let was_requested = chosen(&order).iter().all(|id| faulty.has(Action::Retry, *id));
            if order.action == Action::Undo && was_requested {
                in_turn(faulty, order, &[Action::Retry]).await?;
            }
            Ok(results)
        };
    /// An undo makes a requested message dead.
    Store undo_of_a_request_changes_nothing:
        call apply: |faulty, order| match order.action {
            Action::Undo => in_turn(faulty, order, &[Action::Discard, Action::Undo]).await,
            _ => faulty.noting(order).await,
        };
    /// An action answers the state that it usually leads to.
    Store act_on_one_answers_the_state_that_is_stored:
        call act_on: |faulty, action, id, by| {
            let before = faulty.inner.show(id).await?.state;
            let stored = faulty.inner.act_on(action, id, by).await?;
            Ok(action.of(before).unwrap_or(stored))
        };
    /// An action that changed nothing is not in the audit.
    Store every_act_leaves_one_row_of_the_audit: set audit: |rows| rows.retain(|row| row.done > 0);
    /// The audit does not contain the request of an action.
    Store every_act_leaves_one_row_of_the_audit:
        set audit: |rows| rows.iter_mut().for_each(|row| row.request_id = None);
};
