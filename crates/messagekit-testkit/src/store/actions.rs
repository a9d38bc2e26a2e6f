//! The effects of operator actions.

use std::time::Duration;

use jiff::SignedDuration;
use messagekit::adapter::{Failure, ReceivedMessage, Retries, SetAsideOutcome};
use messagekit::operations::{Action, ActionResult, FailedMessageState, FailedMessages, Operator, Pace};
use messagekit::{Claim, Store};

use super::fixture::{
    act, applies, begin, claim_now, commit, failed_message, look, of, only_failed_message, set_aside_now,
    somebody, until_through,
};
use super::{Audited, FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

/// The second of two operators finds the action done.
pub async fn two_operators_at_once_act_once<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for wanted in [Action::Discard, Action::Undo, Action::Retry] {
        let message = received("orders.order", "{}");
        let id = failed_message(&store, &consumer, &message).await;
        if wanted == Action::Undo {
            assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
        }
        let operators: Vec<_> = (0..4)
            .map(|number| {
                let store = fixture.store();
                tokio::spawn(async move {
                    match number % 2 {
                        0 => act(&store, wanted, id).await == ActionResult::Done,
                        _ => applies(&store, wanted, id).await,
                    }
                })
            })
            .collect();
        let mut done = 0;
        for operator in operators {
            done += u32::from(operator.await.expect("an operator is answered"));
        }
        assert_eq!(done, 1, "{wanted} of one failed message");
    }
}

/// Each failed message has one action result, in the order of the request.
pub async fn acts_answer_in_order<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let first = failed_message(&store, &consumer, &received("orders.order", "1")).await;
    let second = failed_message(&store, &consumer, &received("orders.order", "2")).await;
    assert_eq!(act(&store, Action::Discard, first).await, ActionResult::Done);
    let ids = [second, i64::MAX, first];
    let result = store.act(Action::Retry, &ids, &somebody()).await.expect("acts are answered");
    assert_eq!(
        result,
        [ActionResult::Done, ActionResult::NotFound, ActionResult::WrongState(FailedMessageState::Discarded)]
    );
    let none = store.act(Action::Retry, &[], &somebody()).await.expect("acts are answered");
    assert_eq!(none, []);
}

/// Of the retries that are accepted, each is due a moment after the one before it; a refused one takes no turn.
pub async fn paced_retries_are_due_one_after_the_other<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let mut ids = Vec::new();
    for number in 0..4 {
        let message = received("orders.order", &number.to_string());
        set_aside_now(&store, &consumer, &message, &dead("no")).await;
        ids.push(store.list(&of(&consumer), 1).await.expect("failed messages can be listed")[0].id);
    }
    assert_eq!(act(&store, Action::Discard, ids[1]).await, ActionResult::Done);
    // Far apart, so that a slow machine leases none of the later ones.
    let pace = Pace::per_second(1).expect("a pace").behind(600, Duration::ZERO);
    let refused = ActionResult::WrongState(FailedMessageState::Discarded);
    let result = store.retry_at_pace(&ids[..3], pace, &somebody()).await.expect("acts are answered");
    assert_eq!(result, [ActionResult::Done, refused, ActionResult::Done]);
    let due = async |id| store.show(id).await.expect("it is shown").head.due.expect("a retry is due");
    let (first, second) = (due(ids[0]).await, due(ids[2]).await);
    assert_eq!(second.duration_since(first), SignedDuration::from_secs(1));
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "none is due");

    let at_once = Pace::per_second(Pace::MAX).expect("a pace");
    let result = store.retry_at_pace(&ids[3..], at_once, &somebody()).await.expect("acts are answered");
    assert_eq!(result, [ActionResult::Done]);
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert_eq!(leased.iter().map(|lease| lease.failed_message).collect::<Vec<_>>(), ids[3..]);
    assert!(leased[0].requested, "an operator has asked for it");
}

/// A discarded message does not run, whether it waited, was dead or had a requested retry.
pub async fn discarded_message_is_never_applied<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for (failure, retried) in [(retry_in(Duration::ZERO), false), (dead("no"), false), (dead("no"), true)] {
        let consumer = format!("{consumer}-{}-{retried}", failure.kind);
        set_aside_now(&store, &consumer, &received("orders.order", "{}"), &failure).await;
        let id = only_failed_message(&store, &consumer).await.id;
        if retried {
            assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
        }
        assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
        let failed_message = only_failed_message(&store, &consumer).await;
        assert_eq!((failed_message.state, failed_message.due), (FailedMessageState::Discarded, None));
        assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    }
}

/// When an operator discards a message, its running handler cannot commit, and the answers to its lease change nothing.
pub async fn discard_fences_the_handler_that_runs<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    set_aside_now(&store, &consumer, &message, &retry_in(Duration::ZERO)).await;
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(act(&store, Action::Discard, leased.failed_message).await, ActionResult::Done);
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(
        !store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"),
        "it is given up"
    );
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert!(!store.fail(&consumer, &leased, &dead("no")).await.expect("fail is answered"));
    let back = store.hand_back(&consumer, &leased, Duration::ZERO).await;
    assert!(!back.expect("handing back is answered"));
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::Discarded);
    assert_eq!(fixture.effects(message.id.as_str()).await, 0);

    // The same holds after the undo: the earlier run is over.
    assert_eq!(act(&store, Action::Undo, leased.failed_message).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Retry, leased.failed_message).await, ActionResult::Done);
    assert!(!store.fail(&consumer, &leased, &dead("no")).await.expect("fail is answered"));
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::RetryRequested);
}

/// A copy that arrives later is neither applied nor set aside.
pub async fn late_copy_of_a_discarded_message_is_discarded<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let id = failed_message(&store, &consumer, &message).await;
    assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Discarded);
    assert_eq!(
        set_aside_now(&store, &consumer, &message, &dead("no")).await,
        SetAsideOutcome::AlreadySettled
    );
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::Discarded);
}

/// A message that was discarded and undone is dead as before. Its retry applies it once.
pub async fn undone_and_retried_failed_message_is_applied_once<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let id = failed_message(&store, &consumer, &message).await;
    let before = only_failed_message(&store, &consumer).await;
    assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Undo, id).await, ActionResult::Done);
    let undone = only_failed_message(&store, &consumer).await;
    assert_eq!(
        (undone.state, undone.due, undone.attempts),
        (FailedMessageState::Dead, None, before.attempts)
    );
    assert_eq!(look(&store, &consumer, &message).await, Claim::Held);
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    apply(fixture, &consumer, &message).await;
    assert_eq!(fixture.effects(message.id.as_str()).await, 1);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
}

/// Runs the only failed message that is due.
async fn apply<F: FailedMessagesFixture>(fixture: &F, consumer: &str, message: &ReceivedMessage) {
    let store = fixture.store();
    let leased = store.lease(consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(leased.received, *message);
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, consumer, &leased, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
}

/// An applied message cannot be discarded, and each action requires its state.
pub async fn acts_need_the_right_state<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let id = failed_message(&store, &consumer, &message).await;
    let is = |state| ActionResult::WrongState(state);
    assert_eq!(act(&store, Action::Undo, id).await, is(FailedMessageState::Dead));
    assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Discard, id).await, is(FailedMessageState::Discarded));
    assert_eq!(act(&store, Action::Retry, id).await, is(FailedMessageState::Discarded));
    assert_eq!(act(&store, Action::Undo, id).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Undo, id).await, is(FailedMessageState::RetryRequested));
    apply(fixture, &consumer, &message).await;
    for wanted in [Action::Retry, Action::Discard, Action::Undo] {
        assert_eq!(act(&store, wanted, id).await, is(FailedMessageState::Resolved), "{wanted}");
    }
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
    for wanted in [Action::Retry, Action::Discard, Action::Undo] {
        assert_eq!(act(&store, wanted, i64::MAX).await, ActionResult::NotFound, "{wanted}");
    }
}

/// A retry by an operator starts from zero: earlier attempts and crashes do not count.
pub async fn retry_counts_from_zero<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let failure = Failure { attempts: 9, ..retry_in(Duration::ZERO) };
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &failure).await;
    store.lease(&consumer, 1, Duration::ZERO).await.expect("leases are answered");
    let again = async || store.lease(&consumer, 1, LONG).await;
    let leased = until_through(again).await.remove(0);
    assert_eq!((leased.attempt, leased.crash_count), (11, 1));
    assert!(store.fail(&consumer, &leased, &dead("no")).await.expect("fail is answered"));
    assert_eq!(act(&store, Action::Retry, leased.failed_message).await, ActionResult::Done);
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!((failed_message.attempts, failed_message.crash_count), (0, 0));
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!((leased.attempt, leased.crash_count, leased.requested), (1, 0, true));
}

/// Retention removes old markers. An undone message waits for its retry all the same.
pub async fn undo_after_a_forgotten_marker_holds_the_message_again<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let id = failed_message(&store, &consumer, &message).await;
    assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
    fixture.forget_marker(&consumer, &message.id).await;
    assert_eq!(act(&store, Action::Undo, id).await, ActionResult::Done);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Held);
}

/// A late copy was applied after retention had removed the marker: an undo of its failed message would apply it twice. The other
/// failed messages of the action are undone.
pub async fn act_against_a_late_copy_is_refused_alone<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages = [received("orders.order", "1"), received("orders.order", "2")];
    let mut ids = Vec::new();
    for message in &messages {
        let id = failed_message(&store, &consumer, message).await;
        assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
        ids.push(id);
    }
    fixture.forget_marker(&consumer, &messages[0].id).await;
    assert_eq!(claim_now(&store, &consumer, &messages[0]).await, Claim::Fresh);
    let result = store
        .act(Action::Undo, &ids, &somebody())
        .await
        .expect("one failed message does not fail the others");
    assert_eq!(result, [ActionResult::Settled, ActionResult::Done]);
    let mut states = Vec::new();
    for id in &ids {
        states.push(store.show(*id).await.expect("the failed message is there").state);
    }
    assert_eq!(states, [FailedMessageState::Discarded, FailedMessageState::Dead]);
    assert_eq!(look(&store, &consumer, &messages[0]).await, Claim::Done);
    assert_eq!(look(&store, &consumer, &messages[1]).await, Claim::Held);
    let last = fixture.audit().await.pop().expect("acts are written down");
    assert_eq!((last.ids, last.done), (ids, 1));
}

/// Each action leaves one row with its operator in the audit, also when it changed nothing.
pub async fn every_act_leaves_one_row_of_the_audit<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let first = failed_message(&store, &consumer, &received("orders.order", "1")).await;
    let second = failed_message(&store, &consumer, &received("orders.order", "2")).await;
    let by = Operator { request_id: Some("r-1".to_owned()), ..Operator::new("ada", "http") };
    store.act(Action::Discard, &[first, second], &by).await.expect("acts are answered");
    store.act(Action::Undo, &[second], &Operator::new("bob", "cli")).await.expect("acts are answered");
    store.act(Action::Discard, &[i64::MAX, first], &by).await.expect("acts are answered");
    let row = |by: &Operator, action: &str, ids: &[i64], done| Audited {
        by: by.name.clone(),
        through: by.through.clone(),
        request_id: by.request_id.clone(),
        action: action.to_owned(),
        ids: ids.to_vec(),
        done,
    };
    assert_eq!(
        fixture.audit().await,
        [
            row(&by, "discard", &[first, second], 2),
            row(&Operator::new("bob", "cli"), "undo", &[second], 1),
            row(&by, "discard", &[i64::MAX, first], 0),
        ]
    );
    assert_eq!(store.ids(&of(&consumer), 10).await.expect("numbers are answered").len(), 2);
}
