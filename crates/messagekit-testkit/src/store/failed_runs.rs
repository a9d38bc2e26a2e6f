//! The failed runs that a failed message keeps.

use std::time::Duration;

use jiff::SignedDuration;
use messagekit::adapter::{FailedMessageRows, Failure, Retries, instance};
use messagekit::operations::{Action, ActionResult, FailedMessages, FailedRun, Origin};
use messagekit::{Claim, Store};

use super::bookkeeping::{found, keep_now};
use super::fixture::{
    act, apply_leased, begin, behind_now, leased_when_due, look, of, of_key, only_failed_message, park_now,
    set_aside_now,
};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
const TOPIC: &str = "orders.order";

fn failing(error: &str, delay: Duration) -> Failure {
    Failure { error: error.to_owned(), ..retry_in(delay) }
}

async fn kept<S: FailedMessages>(store: &S, consumer: &str) -> Vec<FailedRun> {
    only_failed_message(store, consumer).await.failed_runs
}

fn seen(runs: &[FailedRun]) -> Vec<(u32, &str)> {
    runs.iter().map(|run| (run.attempt, &*run.error)).collect()
}

/// Each failed run is kept with its time, attempt, error and process, also those before an operator's retry.
pub async fn failed_runs_are_kept<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let first = failing("no stock for „寿司“ 'now' \"\\", Duration::ZERO);
    set_aside_now(&store, &consumer, &received(TOPIC, "{}"), &first).await;
    let lease = leased_when_due(&store, &consumer, LONG).await;
    assert!(store.fail(&consumer, &lease, &dead("gone")).await.expect("fail is answered"));
    let id = lease.failed_message;
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let lease = leased_when_due(&store, &consumer, LONG).await;
    assert!(store.fail(&consumer, &lease, &dead("still gone")).await.expect("fail is answered"));

    let shown = store.show(id).await.expect("it is shown");
    let expected = [(1, &*first.error), (2, "gone"), (1, "still gone")];
    assert_eq!(seen(&shown.failed_runs), expected, "a retry counts from 1 again, and forgets nothing");
    assert!(shown.failed_runs.iter().all(|run| run.instance.as_deref() == Some(instance())));
    assert!(shown.failed_runs.is_sorted_by_key(|run| run.at), "{:?}", shown.failed_runs);
    for run in &shown.failed_runs {
        let since = run.at.duration_since(shown.set_aside_at).abs();
        assert!(since < SignedDuration::from_mins(5), "by the clock of the database, not {}", run.at);
    }
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    apply_leased(fixture, &consumer, &leased_when_due(&store, &consumer, LONG).await).await;
    assert_eq!(seen(&kept(&store, &consumer).await), expected, "a run that applied it has not failed");
}

/// A failed message has its last twenty failed runs.
pub async fn last_twenty_failed_runs_are_kept<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received(TOPIC, "{}"), &failing("no 1", Duration::ZERO)).await;
    for number in 2..=25 {
        let lease = leased_when_due(&store, &consumer, LONG).await;
        let failure = failing(&format!("no {number}"), Duration::ZERO);
        assert!(store.fail(&consumer, &lease, &failure).await.expect("fail is answered"));
        let kept = kept(&store, &consumer).await;
        let (first, errors) = (number.max(20) - 19, kept.iter().map(|run| run.error.clone()));
        let expected: Vec<String> = (first..=number).map(|number| format!("no {number}")).collect();
        assert_eq!(errors.collect::<Vec<_>>(), expected);
        assert_eq!((kept[0].attempt, kept.len()), (first, expected.len().min(FailedRun::KEPT)));
    }
}

/// A run whose lease ended without a result is kept when the next one begins.
pub async fn run_without_a_result_is_kept<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received(TOPIC, "{}"), &failing("no", Duration::ZERO)).await;
    leased_when_due(&store, &consumer, Duration::ZERO).await;
    assert_eq!(kept(&store, &consumer).await.len(), 1, "it may still answer");
    let next = leased_when_due(&store, &consumer, LONG).await;
    let runs = kept(&store, &consumer).await;
    assert_eq!(seen(&runs), [(1, "no"), (2, FailedRun::WITHOUT_RESULT)]);
    assert_eq!((runs[1].instance.as_deref(), next.attempt), (Some(instance()), 3));
    assert!(runs[0].at <= runs[1].at, "{runs:?}");
}

/// What is not a failed run of a message is not kept as one: its wait for its key, a returned lease, a late answer, a crash of
/// several at once, and its death at a broker.
pub async fn only_failed_runs_are_kept<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let [first, second] = [5, 6].map(|offset| of_key(TOPIC, "a", offset));
    park_now(&store, &consumer, &first, &failing("no", Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&second]).await;
    let listed = store.list(&of(&consumer), 10).await.expect("failed messages can be listed");
    let (head, behind) = (listed[1].id, listed[0].id);
    let runs_of = async |id| store.show(id).await.expect("it is shown").failed_runs;
    let returned = leased_when_due(&store, &consumer, LONG).await;
    assert!(store.hand_back(&consumer, &returned, Duration::ZERO).await.expect("handing back is answered"));
    assert!(!store.fail(&consumer, &returned, &dead("late")).await.expect("fail is answered"));
    let several = leased_when_due(&store, &consumer, LONG).await;
    let begun = store.begin_run(&consumer, &several, 2, Duration::ZERO).await;
    assert_eq!(begun.expect("the beginning of a run is answered"), Some(2));
    leased_when_due(&store, &consumer, LONG).await;
    assert_eq!(seen(&runs_of(head).await), [(1, "no")]);
    assert_eq!(runs_of(behind).await, [], "it waits for its key");

    let scope = unique("queue:billing");
    keep_now(&store, &found(&scope, Origin::Queue, &received(TOPIC, "{}"))).await;
    assert_eq!(kept(&store, &scope).await, [], "its broker knows");
}

/// A message whose marker was forgotten, and that fails anew, has the failed runs since then.
pub async fn message_that_fails_anew_has_its_new_runs<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received(TOPIC, "{}"));
    set_aside_now(&store, &consumer, &message, &failing("before", Duration::ZERO)).await;
    apply_leased(fixture, &consumer, &leased_when_due(&store, &consumer, LONG).await).await;
    fixture.forget_marker(&consumer, &message.id).await;
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
    let mut tx = begin(&store).await;
    let failure = failing("anew", LONG);
    store.set_aside(&mut tx, &consumer, &message, &failure).await.expect("the message can be set aside");
    store.commit(tx).await.expect("the transaction commits");
    // A store may keep the closed one beside it.
    let newest = store.list(&of(&consumer), 1).await.expect("failed messages can be listed")[0].id;
    let shown = store.show(newest).await.expect("it is shown");
    assert_eq!(seen(&shown.failed_runs), [(1, "anew")]);
}
