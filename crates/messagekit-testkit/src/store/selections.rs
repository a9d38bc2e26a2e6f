//! Many failed messages for one action: those that were counted, as they were then, and no others.

use std::time::Duration;

use jiff::SignedDuration;
use messagekit::adapter::Retries;
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageSelection, FailedMessageState, FailedMessages,
    Pace,
};

use super::fixture::{
    act, begin, behind_now, commit, failed_message, of, of_key, park_now, set_aside_now, somebody,
};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

async fn select<S: FailedMessages>(store: &S, filter: FailedMessageFilter) -> FailedMessageSelection {
    let mut selection = FailedMessageSelection::new(filter);
    while let Some(next) = selection.next_page() {
        let page = store.versions(&next, FailedMessageSelection::PAGE).await.expect("versions are answered");
        selection.add(&page).expect("it is within the limit");
    }
    selection
}

/// Returns the results of one batch with the whole selection.
async fn act_on<S: FailedMessages>(
    store: &S,
    action: Action,
    selection: &FailedMessageSelection,
) -> Vec<ActionResult> {
    let batch = selection.batches(100).next().expect("something is selected");
    store.act_on_selection(action, None, batch, &somebody()).await.expect("acts are answered")
}

fn dead_of(consumer: &str) -> FailedMessageFilter {
    FailedMessageFilter { state: Some(FailedMessageState::Dead), ..of(consumer) }
}

/// Creates dead failed messages and returns their numbers.
async fn some_dead<F: FailedMessagesFixture>(fixture: &F, consumer: &str, number: usize) -> Vec<i64> {
    let mut ids = Vec::new();
    for _ in 0..number {
        ids.push(failed_message(&fixture.store(), consumer, &received("orders.order", "{}")).await);
    }
    ids
}

/// One message leaves a selection and another one enters it: the number and the greatest number are the same, the digest
/// is not.
pub async fn swap_inside_a_selection_changes_its_digest<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let ids = some_dead(fixture, &consumer, 4).await;
    assert_eq!(act(&store, Action::Discard, ids[1]).await, ActionResult::Done);
    let counted = select(&store, dead_of(&consumer)).await;
    let again = select(&fixture.store(), dead_of(&consumer)).await;
    assert_eq!((again.count(), again.digest()), (3, counted.digest()), "nothing has changed");

    assert_eq!(act(&store, Action::Retry, ids[2]).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    let mut tx = begin(&store).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(act(&store, Action::Undo, ids[1]).await, ActionResult::Done);
    let swapped = select(&store, dead_of(&consumer)).await;
    assert_eq!((swapped.count(), swapped.until_id()), (counted.count(), counted.until_id()));
    let refused = swapped.confirm(3, &counted.digest()).expect_err("it has changed");
    assert!(refused.to_string().contains("3 failed messages then, 3 now"), "{refused}");
}

/// A message that an operator discarded and brought back is dead as before. It was not counted so: it is not touched, and
/// the others are moved.
pub async fn changed_message_of_a_selection_is_skipped<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for action in [Action::Retry, Action::Discard, Action::Undo] {
        let consumer = format!("{consumer}-{action}");
        let ids = some_dead(fixture, &consumer, 3).await;
        let there_and_back = match action {
            Action::Undo => [Action::Undo, Action::Discard],
            Action::Retry | Action::Discard => [Action::Discard, Action::Undo],
        };
        if action == Action::Undo {
            store.act(Action::Discard, &ids, &somebody()).await.expect("acts are answered");
        }
        let counted = select(&store, of(&consumer)).await;
        for other in there_and_back {
            assert_eq!(act(&store, other, ids[1]).await, ActionResult::Done);
        }
        let before = store.show(ids[1]).await.expect("it is shown").head;
        let results = act_on(&store, action, &counted).await;
        assert_eq!(results, [ActionResult::Done, ActionResult::Changed, ActionResult::Done], "{action}");
        assert_eq!(store.show(ids[1]).await.expect("it is shown").head, before, "{action}");
        let last = fixture.audit().await.pop().expect("acts are written down");
        assert_eq!((last.ids, last.done), (ids, 2), "{action}");
        let again = act_on(&store, action, &counted).await;
        assert_eq!(again, [ActionResult::Changed; 3], "{action}: what was moved has changed, too");
    }
}

/// The filter is compared once more, too: a message that it does not select is not touched, whatever its version is.
pub async fn message_outside_the_filter_is_skipped<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let ids = some_dead(fixture, &consumer, 2).await;
    let versions = store.versions(&of(&consumer), 10).await.expect("versions are answered");
    let filters = [
        of(&unique("other")),
        FailedMessageFilter { state: Some(FailedMessageState::RetryScheduled), ..of(&consumer) },
        FailedMessageFilter { before: Some(ids[0]), ..of(&consumer) },
    ];
    for filter in filters {
        let mut selection = FailedMessageSelection::new(filter);
        selection.add(&versions).expect("it is within the limit");
        assert_eq!(act_on(&store, Action::Discard, &selection).await, [ActionResult::Changed; 2]);
    }
    assert_eq!(select(&store, dead_of(&consumer)).await.count(), 2, "none was touched");
}

/// A lease, its result and an action make another version each, also when the state is the same afterwards.
pub async fn every_change_makes_another_version<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &retry_in(Duration::ZERO)).await;
    let mut seen = Vec::new();
    let see = async |seen: &mut Vec<_>, what: &str| {
        let now = store.versions(&of(&consumer), 10).await.expect("versions are answered")[0];
        assert_eq!(store.versions(&of(&consumer), 10).await.expect("versions are answered"), [now]);
        assert!(!seen.contains(&now), "{what} leaves the version as it was");
        seen.push(now);
    };
    see(&mut seen, "the beginning").await;
    let lease = async || store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    let leased = lease().await;
    see(&mut seen, "a lease").await;
    assert!(store.hand_back(&consumer, &leased, Duration::ZERO).await.expect("handing back is answered"));
    see(&mut seen, "a returned lease").await;
    let leased = lease().await;
    see(&mut seen, "a second lease").await;
    assert!(store.fail(&consumer, &leased, &retry_in(Duration::ZERO)).await.expect("fail is answered"));
    see(&mut seen, "a failed run").await;
    let id = leased.failed_message;
    for action in [Action::Discard, Action::Undo, Action::Discard, Action::Undo, Action::Retry] {
        assert_eq!(act(&store, action, id).await, ActionResult::Done);
        see(&mut seen, action.as_str()).await;
    }
    let leased = lease().await;
    see(&mut seen, "a requested run").await;
    let mut tx = begin(&store).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    see(&mut seen, "an applied run").await;
}

/// A message that moves up because the one before it was discarded has not changed: the next batch discards it, too.
pub async fn key_is_discarded_in_several_batches<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    park_now(&store, &consumer, &of_key("orders.order", "a", 1), &dead("no")).await;
    let behind = [2, 3, 4].map(|offset| of_key("orders.order", "a", offset));
    behind_now(&store, &consumer, &behind.iter().collect::<Vec<_>>()).await;
    let counted = select(&store, of(&consumer)).await;
    for batch in counted.batches(2) {
        let results = store.act_on_selection(Action::Discard, None, batch, &somebody()).await;
        assert_eq!(results.expect("acts are answered"), [ActionResult::Done; 2]);
    }
    let discarded = FailedMessageFilter { state: Some(FailedMessageState::Discarded), ..of(&consumer) };
    assert_eq!(select(&store, discarded).await.count(), 4);
}

/// The retries of a selection are due one after the other; a message that is skipped takes no turn.
pub async fn selection_is_retried_at_its_pace<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let ids = some_dead(fixture, &consumer, 3).await;
    let counted = select(&store, dead_of(&consumer)).await;
    assert_eq!(act(&store, Action::Discard, ids[1]).await, ActionResult::Done);
    let pace = Pace::per_second(1).expect("a pace").behind(600, Duration::ZERO);
    let batch = counted.batches(100).next().expect("something is selected");
    let results = store.act_on_selection(Action::Retry, Some(pace), batch, &somebody()).await;
    let expected = [ActionResult::Done, ActionResult::Changed, ActionResult::Done];
    assert_eq!(results.expect("acts are answered"), expected);
    let due = async |id| store.show(id).await.expect("it is shown").head.due.expect("a retry is due");
    assert_eq!(due(ids[2]).await.duration_since(due(ids[0]).await), SignedDuration::from_secs(1));
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "none is due");
}
