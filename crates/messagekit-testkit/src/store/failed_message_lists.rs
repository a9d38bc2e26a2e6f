//! Lists and retries of failed messages.

use std::time::Duration;

use messagekit::adapter::{Failure, FailureKind, Retries};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessageTotal, FailedMessages,
    Origin, StateReason,
};
use messagekit::{Claim, ErrorKind, headers};

use super::bookkeeping::{found, keep_now};
use super::fixture::{act, begin, commit, failed_message, look, of, only_failed_message, set_aside_now};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

async fn ids<S: FailedMessages>(store: &S, filter: &FailedMessageFilter, limit: u32) -> Vec<i64> {
    store
        .list(filter, limit)
        .await
        .expect("failed messages can be listed")
        .iter()
        .map(|failed_message| failed_message.id)
        .collect()
}

/// An operator requests a retry, the consumer runs it, and the message is applied.
pub async fn operator_retry_runs_a_failed_message_once<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    set_aside_now(&store, &consumer, &message, &dead("no")).await;
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!(act(&store, Action::Retry, failed_message.id).await, ActionResult::Done);
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::RetryRequested);
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert_eq!(leased.iter().map(|leased| leased.failed_message).collect::<Vec<_>>(), [failed_message.id]);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "it runs once");
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, &consumer, &leased[0], &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::Resolved);
}

/// A second request finds that the failed message is no longer dead: it is due, or runs, or was applied.
pub async fn second_retry_changes_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead("no")).await;
    let id = only_failed_message(&store, &consumer).await.id;
    let again = async || act(&store, Action::Retry, id).await;
    assert_eq!(again().await, ActionResult::Done);
    assert_eq!(
        again().await,
        ActionResult::WrongState(FailedMessageState::RetryRequested),
        "it waits for its run"
    );
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(again().await, ActionResult::WrongState(FailedMessageState::RetryRequested), "it runs");
    let mut tx = begin(&store).await;
    assert!(
        store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"),
        "the clicks fenced nobody"
    );
    commit(&store, tx).await;
    assert_eq!(again().await, ActionResult::WrongState(FailedMessageState::Resolved));
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::Resolved);
}

/// A retry of an unknown failed message returns `NotFound`.
pub async fn retry_of_an_unknown_failed_message_is_not_found<F: FailedMessagesFixture>(fixture: &F) {
    let answer = act(&fixture.store(), Action::Retry, i64::MAX).await;
    assert_eq!(answer, ActionResult::NotFound);
    let error = answer.done(Action::Retry, i64::MAX).expect_err("there is no such failed message");
    assert_eq!(error.kind(), ErrorKind::NotFound);
}

/// A failed retry that an operator requested starts no new series of attempts, and the failed message says why it is dead.
pub async fn failed_replay_is_dead_at_once<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead("no")).await;
    let id = only_failed_message(&store, &consumer).await.id;
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    let failure = retry_in(Duration::ZERO);
    assert!(store.fail(&consumer, &leased, &failure).await.expect("fail is answered"));
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!(
        (failed_message.state, failed_message.reason, failed_message.due, &failed_message.error),
        (FailedMessageState::Dead, StateReason::RequestedRunFailed, None, &failure.error)
    );
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done, "it can be run once more");
}

/// The newest is listed first. Consumer, state and type filter the list, alone and together.
pub async fn failed_messages_are_listed_newest_first_and_filtered<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, other) = (fixture.store(), unique("consumer"), unique("consumer"));
    let mut placed = Vec::new();
    for failure in [dead("a"), retry_in(LONG), dead("c")] {
        set_aside_now(&store, &consumer, &received("orders.order", "{}"), &failure).await;
        placed.push(ids(&store, &of(&consumer), 1).await[0]);
    }
    let mut paid = received("orders.order", "{}");
    paid.message.headers.set(headers::EVENT_TYPE, "orders.order.paid");
    set_aside_now(&store, &consumer, &paid, &dead("d")).await;
    let paid = ids(&store, &of(&consumer), 1).await[0];
    set_aside_now(&store, &other, &received("orders.order", "{}"), &dead("e")).await;

    assert_eq!(ids(&store, &of(&consumer), 10).await, [paid, placed[2], placed[1], placed[0]]);
    assert_eq!(ids(&store, &of(&consumer), 2).await, [paid, placed[2]], "at most the limit");
    assert_eq!(ids(&store, &of(&other), 10).await.len(), 1);
    let retrying = FailedMessageFilter { state: Some(FailedMessageState::RetryScheduled), ..of(&consumer) };
    assert_eq!(ids(&store, &retrying, 10).await, [placed[1]]);
    let paid_only = FailedMessageFilter { event_type: Some("orders.order.paid".to_owned()), ..of(&consumer) };
    assert_eq!(ids(&store, &paid_only, 10).await, [paid]);
    let dead_placed = FailedMessageFilter {
        event_type: Some("orders.order.placed".to_owned()),
        state: Some(FailedMessageState::Dead),
        ..of(&consumer)
    };
    assert_eq!(ids(&store, &dead_placed, 10).await, [placed[2], placed[0]]);
}

/// The last number of a page is the cursor of the next page.
pub async fn pages_join_without_a_gap<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for number in 0..7 {
        set_aside_now(&store, &consumer, &received("orders.order", &number.to_string()), &dead("no")).await;
    }
    let all = ids(&store, &of(&consumer), 100).await;
    let mut paged = Vec::new();
    loop {
        let filter = FailedMessageFilter { before: paged.last().copied(), ..of(&consumer) };
        let page = ids(&store, &filter, 3).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        assert!(paged.len() <= all.len(), "pages repeat failed messages: {paged:?} of {all:?}");
    }
    assert_eq!((paged.len(), paged), (7, all));
}

/// A failed message holds its failure, its times and its attempts.
pub async fn failed_message_tells_its_failure<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut failure = dead("order 17: kein Platz für „寿司“: connection refused");
    failure.attempts = 10;
    set_aside_now(&store, &consumer, &message, &failure).await;
    let id = only_failed_message(&store, &consumer).await.id;
    let failed_message = store.show(id).await.expect("the failed message can be shown");
    assert_eq!(failed_message.received, message);
    assert_eq!(
        (failed_message.id, &failed_message.consumer, failed_message.state),
        (id, &consumer, FailedMessageState::Dead)
    );
    assert_eq!((failed_message.attempts, failed_message.crash_count, failed_message.due), (10, 0, None));
    assert_eq!(
        (failed_message.kind.as_str(), &failed_message.error),
        (failure.kind.as_str(), &failure.error)
    );
    assert_eq!(failed_message.fingerprint, failure.fingerprint());
    assert!(
        failed_message.set_aside_at <= failed_message.changed_at,
        "{} > {}",
        failed_message.set_aside_at,
        failed_message.changed_at
    );
}

/// An unknown failed message returns `NotFound`.
pub async fn show_of_an_unknown_failed_message_is_not_found<F: FailedMessagesFixture>(fixture: &F) {
    let unknown = fixture.store().show(i64::MAX).await.expect_err("there is no such failed message");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

/// The row of a list equals the failed message itself.
pub async fn lists_tell_what_failed_messages_tell<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let mut message = received("orders.order", "{\"name\":\"寿司\"}");
    message.message = message.message.with_key(vec![0xff, 0x00]);
    set_aside_now(&store, &consumer, &message, &retry_in(LONG)).await;
    let position = message.position.clone();
    let keyless = messagekit::adapter::ReceivedMessage { position: None, ..received("orders.order", "") };
    set_aside_now(&store, &consumer, &keyless, &dead("no")).await;

    let heads = store.list(&of(&consumer), 10).await.expect("failed messages can be listed");
    for head in &heads {
        let failed_message = store.show(head.id).await.expect("the failed message can be shown");
        assert_eq!(&failed_message.head, head);
    }
    let head = &heads[1];
    assert_eq!((head.origin, &head.return_to), (Origin::Store, &None));
    assert_eq!(
        (&head.message_id, &head.topic, &head.position),
        (&message.id, &message.message.topic, &position)
    );
    assert_eq!((&head.key, head.payload_bytes), (&message.message.key, message.message.payload.len() as u64));
    assert_eq!(head.event_type.as_deref(), message.message.headers.text(headers::EVENT_TYPE));
    assert!(head.due.is_some_and(|due| due > head.set_aside_at), "it is due in an hour");
    assert_eq!((heads[0].position.clone(), heads[0].payload_bytes), (None, 0));
}

/// A selection is in ascending order, and its pages join.
pub async fn ids_ascend_and_keep_the_filter<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, other) = (fixture.store(), unique("consumer"), unique("consumer"));
    let mut placed = Vec::new();
    for number in 0..5 {
        let message = received("orders.order", &number.to_string());
        placed.push(failed_message(&store, &consumer, &message).await);
        failed_message(&store, &other, &message).await;
    }
    let asked = async |after, limit| {
        let filter = FailedMessageFilter { after, ..of(&consumer) };
        store.ids(&filter, limit).await.expect("numbers are answered")
    };
    assert_eq!(asked(None, 10).await, placed);
    assert_eq!(asked(None, 3).await, placed[..3], "at most the limit");
    assert_eq!(asked(Some(placed[2]), 3).await, placed[3..], "the last of a page begins the next");
    assert_eq!(asked(Some(placed[4]), 3).await, [0_i64; 0]);
}

/// Every part of a filter applies, in lists, selections and totals alike.
pub async fn each_filter_narrows<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let other = failed_message(&store, &consumer, &received("orders.order", "{}")).await;
    // The clock of the database has to advance between the two.
    tokio::time::sleep(Duration::from_millis(5)).await;
    let mut message = received("orders.order", "{}");
    message.message = message.message.with_key(vec![0xff, 0x00]);
    let mut failure = Failure::permanent(FailureKind::Undecodable, "line 3");
    failure.attempts = 2;
    set_aside_now(&store, &consumer, &message, &failure).await;
    let wanted = store.list(&of(&consumer), 1).await.expect("failed messages can be listed").remove(0);
    let first = store.show(other).await.expect("the failed message can be shown");
    assert!(first.set_aside_at < wanted.set_aside_at, "time passes in the database");

    let one = |filter: FailedMessageFilter| (filter, wanted.id);
    let filters = [
        one(FailedMessageFilter { kind: Some("undecodable".to_owned()), ..of(&consumer) }),
        one(FailedMessageFilter { fingerprint: Some(failure.fingerprint()), ..of(&consumer) }),
        one(FailedMessageFilter { key: Some(vec![0xff, 0x00]), ..of(&consumer) }),
        one(FailedMessageFilter { since: Some(wanted.set_aside_at), ..of(&consumer) }),
        (FailedMessageFilter { until: Some(wanted.set_aside_at), ..of(&consumer) }, other),
        one(FailedMessageFilter { after: Some(other), ..of(&consumer) }),
        (FailedMessageFilter { before: Some(wanted.id), ..of(&consumer) }, other),
    ];
    for (filter, expected) in filters {
        assert_eq!(ids(&store, &filter, 10).await, [expected], "{filter:?}");
        assert_eq!(store.ids(&filter, 10).await.expect("numbers are answered"), [expected], "{filter:?}");
        let totals = store.totals(&filter).await.expect("totals are answered");
        assert_eq!(totals.iter().map(|total| total.failed_messages).sum::<u64>(), 1, "{filter:?}");
    }

    let scope = unique("queue:billing");
    keep_now(&store, &found(&scope, Origin::Queue, &message)).await;
    let queued = FailedMessageFilter { origin: Some(Origin::Queue), ..of(&scope) };
    assert_eq!(ids(&store, &queued, 10).await.len(), 1);
    let own = FailedMessageFilter { origin: Some(Origin::Store), ..of(&scope) };
    assert_eq!(ids(&store, &own, 10).await, [0_i64; 0], "a broker kept it");
}

/// A filter for open messages selects those that are still to be applied, in lists, selections, totals and groups alike.
pub async fn open_messages_are_those_still_to_be_applied<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let message = || received("orders.order", "{}");
    let [requested, resolved, discarded, dead_one] = [
        failed_message(&store, &consumer, &message()).await,
        failed_message(&store, &consumer, &message()).await,
        failed_message(&store, &consumer, &message()).await,
        failed_message(&store, &consumer, &message()).await,
    ];
    assert_eq!(act(&store, Action::Discard, discarded).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Retry, resolved).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    let mut tx = begin(&store).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(act(&store, Action::Retry, requested).await, ActionResult::Done);
    set_aside_now(&store, &consumer, &message(), &retry_in(LONG)).await;
    let scheduled = ids(&store, &of(&consumer), 1).await[0];

    let open = FailedMessageFilter { is_open: true, ..of(&consumer) };
    assert_eq!(ids(&store, &open, 10).await, [scheduled, dead_one, requested]);
    assert_eq!(ids(&store, &open, 2).await, [scheduled, dead_one], "the closed ones take no space");
    let selected = store.ids(&open, 10).await.expect("numbers are answered");
    assert_eq!(selected, [requested, dead_one, scheduled]);
    let totals = store.totals(&open).await.expect("totals are answered");
    assert_eq!(totals.iter().map(|total| total.failed_messages).sum::<u64>(), 3, "{totals:?}");
    let groups = store.groups(&open, 10).await.expect("groups are answered");
    assert_eq!(groups.iter().map(|group| group.failed_messages).sum::<u64>(), 3, "{groups:?}");
    let both = FailedMessageFilter { state: Some(FailedMessageState::Resolved), ..open };
    assert_eq!(ids(&store, &both, 10).await, [0_i64; 0], "no message is resolved and open");
}

/// Totals are ordered by consumer, then by state in the order of a failed message's life.
pub async fn totals_count_by_consumer_and_state<F: FailedMessagesFixture>(fixture: &F) {
    let (store, first, second) = (fixture.store(), unique("a"), unique("b"));
    for _ in 0..3 {
        failed_message(&store, &second, &received("orders.order", "{}")).await;
    }
    failed_message(&store, &first, &received("orders.order", "{}")).await;
    set_aside_now(&store, &second, &received("orders.order", "{}"), &retry_in(LONG)).await;
    let dead_of_second = FailedMessageFilter { state: Some(FailedMessageState::Dead), ..of(&second) };
    let gone = ids(&store, &dead_of_second, 1).await[0];
    assert_eq!(act(&store, Action::Discard, gone).await, ActionResult::Done);

    let total = |consumer: &str, state, failed_messages| FailedMessageTotal {
        consumer: consumer.to_owned(),
        state,
        failed_messages,
    };
    let all = store.totals(&FailedMessageFilter::default()).await.expect("totals are answered");
    assert_eq!(
        all,
        [
            total(&first, FailedMessageState::Dead, 1),
            total(&second, FailedMessageState::RetryScheduled, 1),
            total(&second, FailedMessageState::Dead, 2),
            total(&second, FailedMessageState::Discarded, 1),
        ]
    );
    let one = store.totals(&dead_of_second).await.expect("totals are answered");
    assert_eq!(one, [total(&second, FailedMessageState::Dead, 2)]);
}

/// Failed messages that differ only in numbers are one group. It shows its newest error, and its first and last time.
pub async fn groups_gather_what_failed_alike<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for error in ["order 7 has 3 lines", "no stock", "order 17 has 12 lines"] {
        set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead(error)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let heads = store.list(&of(&consumer), 10).await.expect("failed messages can be listed");
    let groups = store.groups(&of(&consumer), 10).await.expect("groups are answered");
    assert_eq!(
        groups.iter().map(|group| group.failed_messages).collect::<Vec<_>>(),
        [2, 1],
        "the largest first"
    );
    let largest = &groups[0];
    assert_eq!((&largest.error, largest.newest), (&heads[0].error, heads[0].id));
    assert_eq!((largest.first, largest.last), (heads[2].set_aside_at, heads[0].set_aside_at));
    assert_eq!(
        (&largest.fingerprint, &largest.consumer),
        (&dead("order 1 has 1 lines").fingerprint(), &consumer)
    );
    assert_eq!((&largest.kind, &largest.event_type), (&heads[0].kind, &heads[0].event_type));
    let limited = store.groups(&of(&consumer), 1).await.expect("groups are answered");
    assert_eq!(limited, groups[..1]);
    let narrowed = FailedMessageFilter { fingerprint: Some(groups[1].fingerprint.clone()), ..of(&consumer) };
    assert_eq!(store.groups(&narrowed, 10).await.expect("groups are answered"), groups[1..]);
}
