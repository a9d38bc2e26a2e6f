//! Discards that an operator takes back, of messages in the order of a key.

use std::time::Duration;

use messagekit::adapter::{Failure, FailureKind, ReceivedMessage, Retries};
use messagekit::operations::{Action, ActionResult, FailedMessageHead, FailedMessageState, FailedMessages};
use messagekit::{Claim, ErrorKind};

use super::fixture::{act, behind_now, look, of, of_key, park_now, runs, somebody};
use super::{FailedMessagesFixture, dead, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
const TOPIC: &str = "orders.order";

/// What an operator does, one action after the other, to get a failed message back.
const WAYS_BACK: [&[Action]; 3] = [
    &[Action::Discard, Action::Undo],
    &[Action::Retry, Action::Discard, Action::Undo],
    &[Action::Retry, Action::Discard, Action::Undo, Action::Discard, Action::Undo],
];

/// A failure that sets a message aside before its handler starts, so that no run of it is counted.
fn without_attempts() -> Failure {
    Failure { attempts: 0, ..Failure::permanent(FailureKind::OutsideWindow, "older than ten days") }
}

async fn head_of<S: FailedMessages>(
    store: &S,
    consumer: &str,
    message: &ReceivedMessage,
) -> FailedMessageHead {
    let failed_messages = store.list(&of(consumer), 100).await.expect("failed messages can be listed");
    let found = failed_messages.into_iter().find(|failed_message| failed_message.message_id == message.id);
    found.expect("the message has a failed message")
}

async fn all_done<S: FailedMessages>(store: &S, actions: &[Action], id: i64) {
    for action in actions {
        assert_eq!(act(store, *action, id).await, ActionResult::Done, "{action} of {actions:?}");
    }
}

/// A dead head is dead after each way back, whether its failure counted a run or not: it holds its key, and only a retry runs it.
pub async fn dead_head_that_is_brought_back_runs_on_request<F: FailedMessagesFixture>(fixture: &F) {
    let store = fixture.store();
    for failure in [dead("no"), without_attempts()] {
        for way in WAYS_BACK {
            let consumer = unique("consumer");
            let messages: Vec<ReceivedMessage> = (5..8).map(|offset| of_key(TOPIC, "a", offset)).collect();
            park_now(&store, &consumer, &messages[0], &failure).await;
            behind_now(&store, &consumer, &[&messages[1], &messages[2]]).await;
            let before = head_of(&store, &consumer, &messages[0]).await;
            all_done(&store, way, before.id).await;

            let head = head_of(&store, &consumer, &messages[0]).await;
            let wanted = (FailedMessageState::Dead, None, before.kind, before.error);
            assert_eq!((head.state, head.due, head.kind, head.error), wanted, "after {way:?}");
            assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "{way:?}");
            assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 9)).await, Claim::KeyBlocked);
            assert_eq!(act(&store, Action::Retry, head.id).await, ActionResult::Done);
            let order: Vec<_> = messages.into_iter().map(|message| message.id).collect();
            assert_eq!(runs(fixture, &consumer).await, order, "after {way:?}");
        }
    }
}

/// A requested run that an operator discards is not asked for any more, also when a process had begun it.
pub async fn request_does_not_survive_a_discard_and_its_undo<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), of_key(TOPIC, "a", 5));
    park_now(&store, &consumer, &message, &dead("no")).await;
    let id = head_of(&store, &consumer, &message).await.id;
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    all_done(&store, &[Action::Discard, Action::Undo], id).await;
    let back = store.hand_back(&consumer, &leased, Duration::ZERO).await;
    assert!(!back.expect("handing back is answered"), "the run is over");
    assert_eq!(head_of(&store, &consumer, &message).await.state, FailedMessageState::Dead);
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
}

/// A message behind its key that has not failed itself is back at its turn. One with a failure of its own is dead there.
pub async fn message_behind_that_is_brought_back_keeps_its_turn<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages: Vec<ReceivedMessage> = (5..9).map(|offset| of_key(TOPIC, "a", offset)).collect();
    park_now(&store, &consumer, &messages[0], &dead("no")).await;
    behind_now(&store, &consumer, &[&messages[1]]).await;
    park_now(&store, &consumer, &messages[2], &retry_in(Duration::ZERO)).await;
    park_now(&store, &consumer, &messages[3], &without_attempts()).await;
    let wanted = [FailedMessageState::Blocked, FailedMessageState::Dead, FailedMessageState::Dead];
    let mut ids = vec![head_of(&store, &consumer, &messages[0]).await.id];
    for (message, wanted) in messages[1..].iter().zip(wanted) {
        let before = head_of(&store, &consumer, message).await;
        assert_eq!(before.state, FailedMessageState::Blocked);
        all_done(&store, WAYS_BACK[0], before.id).await;
        let head = head_of(&store, &consumer, message).await;
        assert_eq!((head.state, head.due, head.attempts), (wanted, None, before.attempts), "{before:?}");
        ids.push(head.id);
    }
    assert_eq!(act(&store, Action::Retry, ids[0]).await, ActionResult::Done);
    let order = [messages[0].id.clone(), messages[1].id.clone()];
    assert_eq!(runs(fixture, &consumer).await, order, "what has failed itself waits for an operator");
    all_done(&store, &[Action::Retry], ids[2]).await;
    all_done(&store, &[Action::Retry], ids[3]).await;
    assert_eq!(runs(fixture, &consumer).await, [messages[2].id.clone(), messages[3].id.clone()]);
}

/// The first run of a message that waited has begun and has no result: after a discard and its undo the consumer runs it, as before.
pub async fn begun_first_run_is_repeated_after_an_undo<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &dead("no")).await;
    behind_now(&store, &consumer, &[&second]).await;
    let head = head_of(&store, &consumer, &first).await.id;
    assert_eq!(act(&store, Action::Discard, head).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!((leased.received.id.clone(), leased.attempt), (second.id.clone(), 1));
    all_done(&store, WAYS_BACK[0], leased.failed_message).await;
    assert_eq!(head_of(&store, &consumer, &second).await.state, FailedMessageState::RetryScheduled);
    assert_eq!(runs(fixture, &consumer).await, [second.id]);
}

/// An undo takes back a discard and no request: it is refused, and nothing changes.
pub async fn undo_of_a_request_changes_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), of_key(TOPIC, "a", 5));
    park_now(&store, &consumer, &message, &dead("no")).await;
    let id = head_of(&store, &consumer, &message).await.id;
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let before = head_of(&store, &consumer, &message).await;
    let refused = ActionResult::WrongState(FailedMessageState::RetryRequested);
    assert_eq!(act(&store, Action::Undo, id).await, refused);
    assert_eq!(head_of(&store, &consumer, &message).await, before);
}

/// Each action on one failed message answers the state that is stored then. A refusal is the error of its result, and also a row
/// of the audit.
pub async fn act_on_one_answers_the_state_that_is_stored<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &dead("no")).await;
    behind_now(&store, &consumer, &[&second]).await;
    let (head, behind) =
        (head_of(&store, &consumer, &first).await.id, head_of(&store, &consumer, &second).await.id);
    for (action, id, wanted) in [
        (Action::Retry, head, FailedMessageState::RetryRequested),
        (Action::Discard, behind, FailedMessageState::Discarded),
        (Action::Undo, behind, FailedMessageState::Blocked),
        (Action::Discard, head, FailedMessageState::Discarded),
        (Action::Discard, behind, FailedMessageState::Discarded),
        (Action::Undo, behind, FailedMessageState::RetryScheduled),
        (Action::Undo, head, FailedMessageState::Dead),
    ] {
        let answer = store.act_on(action, id, &somebody()).await.expect("the action applies");
        let stored = store.show(id).await.expect("the failed message can be shown").state;
        assert_eq!((answer, stored), (wanted, wanted), "{action} of {id}");
    }
    let refused = store.act_on(Action::Undo, head, &somebody()).await.expect_err("it is dead");
    assert_eq!(refused.kind(), ErrorKind::WrongState, "{refused}");
    assert_eq!(head_of(&store, &consumer, &first).await.state, FailedMessageState::Dead);
    let unknown = store.act_on(Action::Retry, i64::MAX, &somebody()).await.expect_err("there is none");
    assert_eq!(unknown.kind(), ErrorKind::NotFound, "{unknown}");
    let audit: Vec<_> =
        fixture.audit().await.into_iter().map(|row| (row.action, row.ids, row.done)).collect();
    let last = [("undo", head, 1), ("undo", head, 0), ("retry", i64::MAX, 0)];
    assert_eq!(audit[audit.len() - 3..], last.map(|(act, id, done)| (act.to_owned(), vec![id], done)));
}
