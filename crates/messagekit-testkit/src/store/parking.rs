//! The order of a key: what blocks it, what waits behind it, and what runs next.

use std::time::Duration;

use messagekit::adapter::{
    FailedMessageRows, Failure, FailureKind, Markers, ReceivedMessage, Retries, SetAsideOutcome,
};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessageTotal, FailedMessages,
};
use messagekit::{Claim, ParkingLimits, Store};

use super::fixture::{
    act, apply_leased, begin, behind_now, claim_in, claim_now, commit, look, look_again, of, of_key,
    park_now, runs, set_aside_now, somebody, until_through,
};
use super::{FailedMessagesFixture, dead, request, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
const TOPIC: &str = "orders.order";

/// Returns the number of the failed message of a message.
async fn failed_message<S: FailedMessages>(
    store: &S,
    consumer: &str,
    message: &ReceivedMessage,
) -> messagekit::operations::FailedMessageHead {
    let failed_messages = store.list(&of(consumer), 1_000).await.expect("failed messages can be listed");
    let found = failed_messages.into_iter().find(|failed_message| failed_message.message_id == message.id);
    found.expect("the message has a failed message")
}

/// Later messages of the topic and key of a parked message are behind it. Other keys, topics and consumers are not, and
/// neither is a claim that does not ask about its key.
pub async fn parked_message_holds_its_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, topic) = (fixture.store(), unique("consumer"), unique("topic"));
    park_now(&store, &consumer, &of_key(TOPIC, "a", 5), &retry_in(LONG)).await;
    let later = of_key(TOPIC, "a", 6);
    let all = [&of_key(TOPIC, "b", 7), &later, &of_key(&topic, "a", 6)];
    let mut tx = begin(&store).await;
    let claims = claim_in(&store, &mut tx, &consumer, &all).await;
    assert_eq!(claims, [Claim::Fresh, Claim::KeyBlocked, Claim::Fresh]);
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(look(&store, &unique("consumer"), &later).await, Claim::Fresh);
    let other = unique("consumer");
    park_now(&store, &other, &of_key(TOPIC, "b", 4), &retry_in(LONG)).await;
    assert_eq!(look(&store, &other, &later).await, Claim::Fresh, "a consumer that has parked another key");

    let mut tx = begin(&store).await;
    let alone = messagekit::adapter::ClaimRequest { key: None, ..request(&later) };
    let claims = store.claim(&mut tx, &consumer, &[alone]).await.expect("claims are answered");
    assert_eq!(claims, [Claim::Fresh]);
    store.rollback(tx).await.expect("a transaction can be rolled back");
}

/// Keys are bytes: an absent key differs from the empty key, and every byte counts.
pub async fn blocked_keys_differ_by_every_byte<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let with = |key: &[u8], offset| {
        let mut message = of_key(TOPIC, "", offset);
        message.message.key = Some(key.to_vec().into());
        message
    };
    let long = [b'x'; 9_000];
    let keys: [&[u8]; 6] = [b"", b"\0", b"\xff", b"A", b"a ", &long];
    for (key, offset) in keys.iter().zip(0..) {
        assert_eq!(look(&store, &consumer, &with(key, offset)).await, Claim::Fresh, "{key:?}");
        park_now(&store, &consumer, &with(key, offset), &dead("no")).await;
        assert_eq!(look(&store, &consumer, &with(key, 100 + offset)).await, Claim::KeyBlocked, "{key:?}");
    }
    assert_eq!(look(&store, &consumer, &with(b"a", 200)).await, Claim::Fresh);
    let longer = [long.as_slice(), b"y"].concat();
    assert_eq!(look(&store, &consumer, &with(&longer, 200)).await, Claim::Fresh);
}

/// A message that is set aside without parking does not block its key.
pub async fn message_set_aside_alone_holds_no_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &of_key(TOPIC, "a", 5), &dead("no")).await;
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 6)).await, Claim::Fresh);
    let alone = store.list(&of(&consumer), 1).await.expect("failed messages can be listed").remove(0);
    assert_eq!((alone.parked, alone.holds_back), (false, 0));
}

/// A message behind its key is stored in full and waits, without an attempt or a due time. Its copies are held.
pub async fn message_behind_is_kept_and_waits<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, later) = (fixture.store(), unique("consumer"), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &of_key(TOPIC, "a", 5), &retry_in(LONG)).await;
    behind_now(&store, &consumer, &[&later]).await;
    assert_eq!(look(&store, &consumer, &later).await, Claim::Held);
    let head = failed_message(&store, &consumer, &later).await;
    assert_eq!((head.state, head.attempts, head.due), (FailedMessageState::Blocked, 0, None));
    assert_eq!((head.parked, head.kind.as_str()), (true, FailureKind::KeyBlocked.as_str()));
    assert_eq!(store.show(head.id).await.expect("the failed message can be shown").received, later);
    let again = park_now(&store, &consumer, &later, &dead("no")).await;
    assert_eq!(again, SetAsideOutcome::AlreadySettled);
}

/// A message that is behind its key and not stored leaves neither a failed message nor a marker.
pub async fn unclaimed_message_behind_leaves_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, later) = (fixture.store(), unique("consumer"), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &of_key(TOPIC, "a", 5), &retry_in(LONG)).await;
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&later]).await, [Claim::KeyBlocked]);
    store.unclaim(&mut tx, &consumer, &[request(&later)]).await.expect("claims can be taken back");
    commit(&store, tx).await;
    assert_eq!(look(&store, &consumer, &later).await, Claim::KeyBlocked);
    assert_eq!(store.list(&of(&consumer), 10).await.expect("failed messages can be listed").len(), 1);
}

/// Marker, failed message and blocked key share the commit.
pub async fn rolled_back_park_holds_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, later) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    let room = ParkingLimits::default();
    let mut tx = begin(&store).await;
    store.park(&mut tx, &consumer, &first, &dead("no"), room).await.expect("the message can be parked");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(look(&store, &consumer, &first).await, Claim::Fresh);
    assert_eq!(look(&store, &consumer, &later).await, Claim::Fresh);

    park_now(&store, &consumer, &first, &dead("no")).await;
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &[&later]).await;
    store.park_behind(&mut tx, &consumer, &[&later], room).await.expect("what is behind can be kept");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(look(&store, &consumer, &later).await, Claim::KeyBlocked);
    let head = failed_message(&store, &consumer, &first).await;
    assert_eq!(head.holds_back, 0, "one failed message holds the key");
    assert_eq!(act(&store, Action::Discard, head.id).await, ActionResult::Done);
    assert_eq!(look(&store, &consumer, &later).await, Claim::Fresh);
}

/// The second process finds the message settled and the key unchanged. An applied message blocks no key.
pub async fn message_that_is_settled_is_not_parked<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), of_key(TOPIC, "a", 5));
    let later = of_key(TOPIC, "a", 6);
    assert_eq!(super::fixture::claim_now(&store, &consumer, &message).await, Claim::Fresh);
    let settled = SetAsideOutcome::AlreadySettled;
    assert_eq!(park_now(&store, &consumer, &message, &dead("late")).await, settled);
    assert_eq!(look(&store, &consumer, &later).await, Claim::Fresh);

    let message = of_key(TOPIC, "a", 7);
    let failure = retry_in(Duration::ZERO);
    assert_eq!(park_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::SetAside);
    assert_eq!(park_now(&store, &consumer, &message, &failure).await, settled);
    assert_eq!(runs(fixture, &consumer).await, [message.id]);
    assert_eq!(look(&store, &consumer, &later).await, Claim::Fresh, "one failed message held the key");
}

/// The failed messages of a key run one at a time, each after the previous one was applied. The last one frees the key.
pub async fn failed_messages_of_a_key_run_in_their_order<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages: Vec<ReceivedMessage> = (8..12).map(|offset| of_key(TOPIC, "a", offset)).collect();
    let other = of_key(TOPIC, "b", 100);
    park_now(&store, &consumer, &messages[0], &retry_in(Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&messages[1], &messages[2]]).await;
    behind_now(&store, &consumer, &[&messages[3]]).await;
    park_now(&store, &consumer, &other, &retry_in(Duration::ZERO)).await;
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert!(leased.iter().all(|leased| leased.parked));
    let mut ids: Vec<_> = leased.iter().map(|leased| &leased.received.id).collect();
    ids.sort();
    let mut heads = [&messages[0].id, &other.id];
    heads.sort();
    assert_eq!(ids, heads, "the first of each key and no other");

    let first = leased.iter().find(|leased| leased.received.id == messages[0].id).expect("it is leased");
    apply_leased(fixture, &consumer, first).await;
    for message in &messages[1..] {
        assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 20)).await, Claim::KeyBlocked);
        let next = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
        assert_eq!(next.iter().map(|next| &next.received.id).collect::<Vec<_>>(), [&message.id]);
        assert_eq!((next[0].attempt, next[0].parked), (1, true), "it runs for the first time");
        apply_leased(fixture, &consumer, &next[0]).await;
    }
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 20)).await, Claim::Fresh);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "b", 21)).await, Claim::KeyBlocked);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
}

/// The order is that of the positions, whichever message is parked first. Offsets are compared as numbers.
pub async fn failed_messages_of_a_key_are_ordered_by_position<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let [earlier, middle, later] = [9, 10, 100].map(|offset| of_key(TOPIC, "a", offset));
    park_now(&store, &consumer, &middle, &retry_in(Duration::ZERO)).await;
    park_now(&store, &consumer, &later, &dead("cannot be read")).await;
    assert_eq!(
        failed_message(&store, &consumer, &later).await.state,
        FailedMessageState::Blocked,
        "whatever its failure says"
    );
    park_now(&store, &consumer, &earlier, &retry_in(Duration::ZERO)).await;
    let ids = [earlier.id, middle.id, later.id];
    assert_eq!(runs(fixture, &consumer).await, ids);
}

/// A head that is dead or handed back keeps its key blocked, and the messages behind it wait.
pub async fn dead_head_holds_its_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second, probe) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6), of_key(TOPIC, "a", 7));
    park_now(&store, &consumer, &first, &retry_in(Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&second]).await;
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered").remove(0);
    assert!(store.hand_back(&consumer, &leased, Duration::ZERO).await.expect("handing back is answered"));
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(leased.received.id, first.id);
    assert!(store.fail(&consumer, &leased, &dead("no")).await.expect("fail is answered"));
    assert_eq!(look(&store, &consumer, &probe).await, Claim::KeyBlocked);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(failed_message(&store, &consumer, &second).await.state, FailedMessageState::Blocked);

    assert_eq!(act(&store, Action::Retry, leased.failed_message).await, ActionResult::Done);
    assert_eq!(runs(fixture, &consumer).await, [first.id, second.id]);
    assert_eq!(look(&store, &consumer, &probe).await, Claim::Fresh);
}

/// A run that is rolled back promotes no other message.
pub async fn rolled_back_retry_keeps_its_key_blocked<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &retry_in(Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&second]).await;
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered").remove(0);
    let mut tx = begin(&store).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(failed_message(&store, &consumer, &second).await.state, FailedMessageState::Blocked);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 7)).await, Claim::KeyBlocked);
    apply_leased(fixture, &consumer, &leased).await;
    assert_eq!(runs(fixture, &consumer).await, [second.id]);
}

/// Discarding the head promotes the next message. Discarding a waiting one promotes none, and the last one frees the key.
pub async fn discarded_failed_message_leaves_its_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages: Vec<ReceivedMessage> = (5..9).map(|offset| of_key(TOPIC, "a", offset)).collect();
    park_now(&store, &consumer, &messages[0], &dead("no")).await;
    behind_now(&store, &consumer, &messages[1..].iter().collect::<Vec<_>>()).await;
    let mut ids = Vec::new();
    for message in &messages {
        ids.push(failed_message(&store, &consumer, message).await.id);
    }
    assert_eq!(act(&store, Action::Discard, ids[1]).await, ActionResult::Done);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(act(&store, Action::Discard, ids[0]).await, ActionResult::Done);
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert_eq!(leased.iter().map(|leased| leased.failed_message).collect::<Vec<_>>(), [ids[2]]);

    // The discard comes while the handler runs, and includes the message that waits for it.
    let both = store.act(Action::Discard, &[ids[3], ids[2]], &somebody()).await.expect("acts are answered");
    assert_eq!(both, [ActionResult::Done; 2]);
    let mut tx = begin(&store).await;
    assert!(!store.resolve(&mut tx, &consumer, &leased[0], &[]).await.expect("resolve is answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 10)).await, Claim::Fresh);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(look(&store, &consumer, &messages[3]).await, Claim::Discarded);
}

/// An undone message that has run is dead, blocks its key again, and no message behind it runs before it.
pub async fn undone_head_holds_its_key_again<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second, probe) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6), of_key(TOPIC, "a", 7));
    park_now(&store, &consumer, &first, &dead("no")).await;
    let head = failed_message(&store, &consumer, &first).await.id;
    assert_eq!(act(&store, Action::Discard, head).await, ActionResult::Done);
    assert_eq!(look(&store, &consumer, &probe).await, Claim::Fresh);
    assert_eq!(act(&store, Action::Undo, head).await, ActionResult::Done);
    assert_eq!(failed_message(&store, &consumer, &first).await.state, FailedMessageState::Dead);
    assert_eq!(look(&store, &consumer, &probe).await, Claim::KeyBlocked);

    // The next message is due already when the dead one is put before it again.
    behind_now(&store, &consumer, &[&second]).await;
    assert_eq!(act(&store, Action::Discard, head).await, ActionResult::Done);
    assert_eq!(failed_message(&store, &consumer, &second).await.state, FailedMessageState::RetryScheduled);
    assert_eq!(act(&store, Action::Undo, head).await, ActionResult::Done);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    assert_eq!(act(&store, Action::Retry, head).await, ActionResult::Done);
    assert_eq!(runs(fixture, &consumer).await, [first.id, second.id]);
    assert_eq!(look(&store, &consumer, &probe).await, Claim::Fresh);
}

/// An undone message that never ran takes its turn: it waits, or runs if no message is before it.
pub async fn undone_failed_message_that_never_ran_takes_its_turn<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &retry_in(Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&second]).await;
    let waiting = failed_message(&store, &consumer, &second).await.id;
    for wanted in [FailedMessageState::Blocked, FailedMessageState::RetryScheduled] {
        assert_eq!(act(&store, Action::Discard, waiting).await, ActionResult::Done);
        if wanted == FailedMessageState::RetryScheduled {
            assert_eq!(runs(fixture, &consumer).await, std::slice::from_ref(&first.id));
            assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 7)).await, Claim::Fresh);
        }
        assert_eq!(act(&store, Action::Undo, waiting).await, ActionResult::Done);
        let undone = failed_message(&store, &consumer, &second).await;
        assert_eq!(
            (undone.state, undone.due.is_some()),
            (wanted, wanted == FailedMessageState::RetryScheduled)
        );
        assert_eq!(look(&store, &consumer, &second).await, Claim::Held);
        assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 7)).await, Claim::KeyBlocked);
    }
    assert_eq!(runs(fixture, &consumer).await, [second.id]);
}

/// An operator cannot retry a waiting failed message.
pub async fn waiting_failed_message_is_not_retried<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &dead("no")).await;
    behind_now(&store, &consumer, &[&second]).await;
    let waiting = failed_message(&store, &consumer, &second).await.id;
    assert_eq!(
        act(&store, Action::Retry, waiting).await,
        ActionResult::WrongState(FailedMessageState::Blocked)
    );
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
}

/// A failing message beyond the parking limits writes nothing, and the transaction can be repeated without it.
pub async fn culprit_without_room_is_not_parked<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    let elsewhere = of_key(TOPIC, "b", 7);
    let one = ParkingLimits { per_key: 1, in_all: 10 };
    let park = async |message: &ReceivedMessage, room| {
        let mut tx = begin(&store).await;
        let failure = dead("no");
        let outcome = store.park(&mut tx, &consumer, message, &failure, room).await;
        let outcome = outcome.expect("the question is answered");
        match outcome {
            SetAsideOutcome::Full => store.rollback(tx).await.expect("a transaction can be rolled back"),
            _ => commit(&store, tx).await,
        }
        outcome
    };
    assert_eq!(park(&first, one).await, SetAsideOutcome::SetAside);
    assert_eq!(park(&second, one).await, SetAsideOutcome::Full, "its key has no room");
    assert_eq!(park(&first, one).await, SetAsideOutcome::AlreadySettled, "it has its room");
    let all = ParkingLimits { per_key: 10, in_all: 1 };
    assert_eq!(park(&elsewhere, all).await, SetAsideOutcome::Full, "the consumer has no room");
    assert_eq!(look(&store, &consumer, &second).await, Claim::KeyBlocked);
    assert_eq!(look(&store, &consumer, &elsewhere).await, Claim::Fresh);
    assert_eq!(park(&elsewhere, one).await, SetAsideOutcome::SetAside, "another key has room");
    assert_eq!(store.list(&of(&consumer), 10).await.expect("failed messages can be listed").len(), 2);
}

/// Of the messages behind a key, as many as the limits allow are counted, for either limit.
pub async fn messages_behind_are_kept_as_far_as_there_is_room<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    park_now(&store, &consumer, &of_key(TOPIC, "a", 5), &dead("no")).await;
    park_now(&store, &consumer, &of_key(TOPIC, "b", 6), &dead("no")).await;
    let later = [("a", 7), ("b", 8), ("a", 9), ("b", 10)].map(|(key, offset)| of_key(TOPIC, key, offset));
    let behind: Vec<&ReceivedMessage> = later.iter().collect();
    let keep = async |room| {
        let mut tx = begin(&store).await;
        assert_eq!(claim_in(&store, &mut tx, &consumer, &behind).await, [Claim::KeyBlocked; 4]);
        let kept = store.park_behind(&mut tx, &consumer, &behind, room).await;
        let kept = kept.expect("the question is answered");
        match kept < behind.len() {
            true => store.rollback(tx).await.expect("a transaction can be rolled back"),
            false => commit(&store, tx).await,
        }
        kept
    };
    assert_eq!(
        keep(ParkingLimits { per_key: 2, in_all: 100 }).await,
        2,
        "the third is one too many for its key"
    );
    assert_eq!(keep(ParkingLimits { per_key: 1, in_all: 100 }).await, 0);
    assert_eq!(keep(ParkingLimits { per_key: 100, in_all: 5 }).await, 3, "the fourth is one too many in all");
    assert_eq!(store.list(&of(&consumer), 10).await.expect("failed messages can be listed").len(), 2);
    assert_eq!(keep(ParkingLimits { per_key: 3, in_all: 6 }).await, 4, "what fits exactly fits");
    assert_eq!(store.list(&of(&consumer), 10).await.expect("failed messages can be listed").len(), 6);
}

/// Operators see the waiting messages, and how many wait for a head.
pub async fn lists_tell_what_a_head_holds_back<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let messages: Vec<ReceivedMessage> = (5..8).map(|offset| of_key(TOPIC, "a", offset)).collect();
    park_now(&store, &consumer, &messages[0], &dead("no")).await;
    behind_now(&store, &consumer, &[&messages[1], &messages[2]]).await;
    set_aside_now(&store, &consumer, &of_key(TOPIC, "a", 1), &dead("no")).await;
    let told = async |filter: FailedMessageFilter| {
        let failed_messages = store.list(&filter, 10).await.expect("failed messages can be listed");
        failed_messages.iter().map(|head| (head.state, head.parked, head.holds_back)).collect::<Vec<_>>()
    };
    let (waiting, first) = ((FailedMessageState::Blocked, true, 0), (FailedMessageState::Dead, true, 2));
    assert_eq!(told(of(&consumer)).await, [(FailedMessageState::Dead, false, 0), waiting, waiting, first]);
    let only = FailedMessageFilter { state: Some(FailedMessageState::Blocked), ..of(&consumer) };
    assert_eq!(told(only.clone()).await, [waiting, waiting]);
    let head = failed_message(&store, &consumer, &messages[0]).await;
    let shown = store.show(head.id).await.expect("the failed message can be shown");
    assert_eq!((shown.parked, shown.holds_back), (true, 2));
    let total = FailedMessageTotal {
        consumer: consumer.clone(),
        state: FailedMessageState::Blocked,
        failed_messages: 2,
    };
    assert_eq!(store.totals(&only).await.expect("totals are answered"), [total]);
    assert_eq!(act(&store, Action::Discard, head.id).await, ActionResult::Done);
    let next = (FailedMessageState::RetryScheduled, true, 1);
    let gone = (FailedMessageState::Discarded, true, 0);
    assert_eq!(told(of(&consumer)).await, [(FailedMessageState::Dead, false, 0), waiting, next, gone]);
}

/// A message that is parked behind a key while it drains still runs: as the head of its key, or fresh.
pub async fn message_parked_behind_a_draining_key_still_runs<F: FailedMessagesFixture>(fixture: &F) {
    for round in 0..20 {
        let consumer = unique("consumer");
        let store = fixture.store();
        let (first, later) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
        park_now(&store, &consumer, &first, &retry_in(Duration::ZERO)).await;
        let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
        let pause = Duration::from_millis(round % 5);
        let drains = {
            let (fixture, consumer) = (fixture.clone(), consumer.clone());
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                apply_leased(&fixture, &consumer, &leased).await;
            })
        };
        let claim = until_through(|| async {
            let mut tx = store.begin().await?;
            let claim = store.claim(&mut tx, &consumer, &[request(&later)]).await?[0];
            tokio::time::sleep(pause).await;
            if claim == Claim::KeyBlocked {
                let kept = store.park_behind(&mut tx, &consumer, &[&later], ParkingLimits::default()).await?;
                assert_eq!(kept, 1);
            } else {
                fixture.effect(&mut tx, later.id.as_str()).await;
            }
            store.commit(tx).await?;
            Ok(claim)
        })
        .await;
        drains.await.expect("the failed message before it is applied");
        let rest = runs(fixture, &consumer).await;
        assert_eq!(rest.len(), usize::from(claim == Claim::KeyBlocked), "{claim:?}, then {rest:?}");
        assert_eq!(fixture.effects(later.id.as_str()).await, 1);
        assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 7)).await, Claim::Fresh);
    }
}

/// A failing message keeps its own failure when it is the first of its key.
pub async fn parked_culprit_is_due_as_its_failure_says<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let cases: [(&str, Failure, FailedMessageState); 3] = [
        ("a", retry_in(LONG), FailedMessageState::RetryScheduled),
        ("b", dead("no such customer"), FailedMessageState::Dead),
        ("c", retry_in(Duration::ZERO), FailedMessageState::RetryScheduled),
    ];
    for (key, failure, state) in &cases {
        let message = of_key(TOPIC, key, 5);
        park_now(&store, &consumer, &message, failure).await;
        let head = failed_message(&store, &consumer, &message).await;
        assert_eq!((head.state, head.attempts, &head.error), (*state, failure.attempts, &failure.error));
    }
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    let keys: Vec<_> = leased.iter().map(|leased| leased.received.message.key.as_deref()).collect();
    assert_eq!(keys, [Some(b"c".as_slice())]);
}

/// A message that was applied before its range is processed again is not settled. Its failure is parked, and after its run the
/// message is applied under that generation.
pub async fn culprit_of_a_range_is_parked_once_for_its_generation<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let message = of_key(TOPIC, "a", 5);
    claim_now(&store, &consumer, &message).await;
    let failure = Failure { generation: 2, ..retry_in(Duration::ZERO) };
    let smaller = Failure { generation: 0, ..failure.clone() };
    assert_eq!(park_now(&store, &consumer, &message, &smaller).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(park_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::SetAside);
    assert_eq!(park_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(
        look_again(&store, &consumer, &message, 3).await,
        Claim::Held,
        "it belongs to its failed message"
    );
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    apply_leased(fixture, &consumer, &leased[0]).await;
    assert_eq!(park_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(
        look_again(&store, &consumer, &message, 2).await,
        Claim::Done,
        "it was applied under its generation"
    );
    assert_eq!(look_again(&store, &consumer, &message, 3).await, Claim::Fresh);
}
