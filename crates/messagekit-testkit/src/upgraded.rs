//! A store whose database was restored from the dump of an earlier schema and upgraded: it continues with the rows of the dump.
//!
//! The dump has the rows that these checks name: events `e-1` with a copy, `e-2` and `e-3`, a rejected event with one behind it, a
//! running replay, markers and offsets of the consumer `billing`, two attempts for `m-poison`, and five failed messages.

use std::time::Duration;

use messagekit::adapter::{Bookkeeping, ClaimRequest, FullInbox};
use messagekit::operations::{
    Action, ActionResult, EventFilter, FailedMessageFilter, FailedMessages, Operator, Origin, ReplayState,
    Replays, StoredEvent,
};
use messagekit::relay::RejectedEvents;
use messagekit::{Claim, MessageId};

const LEASE: Duration = Duration::from_secs(60);

/// Checks that `events` are listed with their copies, a rejected key is retried whole, and the replay is finished.
pub async fn outbox_goes_on<S: Replays + RejectedEvents>(store: &S, events: &[(&str, u32)]) {
    let of_topic = EventFilter { topic: Some("orders.order".into()), ..EventFilter::default() };
    let listed = store.events(&of_topic, None, 10).await.expect("events can be listed");
    let copies: Vec<_> = listed.iter().map(|event| (event.event_id.as_str(), event.copies)).collect();
    assert_eq!(copies, events);
    let rejected = store.rejected(0, 10, false).await.expect("rejected events can be listed");
    assert_eq!(rejected[0].error.as_deref(), Some("record too large"));
    let retried = store.retry_rejected(rejected[0].id, &Operator::new("ann", "cli")).await;
    assert_eq!(retried.expect("it can be retried"), 2, "the whole key");

    let jobs = store.replays(None, 10).await.expect("replays can be listed");
    assert_eq!((jobs[0].state, jobs[0].events, jobs[0].published), (ReplayState::Running, 2, 1));
    let lease = store.lease_replay(LEASE).await.expect("a replay can be leased");
    let (lease, _) = lease.expect("the job goes on");
    let renamed = |_: &StoredEvent| unreachable!("its events keep their ids");
    let job = store.replay_step(lease, 10, LEASE, &renamed).await.expect("a step can be done");
    assert!(job.is_some_and(|job| job.state == ReplayState::Done && job.published == 2));
}

/// Checks claims, the offsets of two key lanes of `topic`, and the attempts of a message.
pub async fn inbox_goes_on<S: FullInbox>(store: &S, topic: &str) {
    let id = |id: &str| id.parse::<MessageId>().expect("an id");
    let requests = ["m-done", "m-dead", "m-discarded", "m-new"].map(|message| ClaimRequest {
        id: id(message),
        topic: "orders.order".into(),
        key: None,
        generation: 0,
    });
    let mut tx = store.begin().await.expect("a transaction");
    let claims = store.claim(&mut tx, "billing", &requests).await.expect("claims");
    assert_eq!(claims, [Claim::Done, Claim::Held, Claim::Discarded, Claim::Fresh]);
    store.rollback(tx).await.expect("it can be rolled back");
    let mut next = store.next_of("billing", topic).await.expect("offsets");
    next.sort_by_key(|next| next.key_lane);
    assert_eq!(next.iter().map(|next| next.next).collect::<Vec<_>>(), [12, 9]);
    let others = store.begin_attempt("billing", &id("m-poison"), "billing-c").await;
    assert_eq!(others.expect("an attempt can begin"), 2);
}

/// Checks that failed messages are shown whole, and that leases, redeliveries and actions continue.
pub async fn failed_messages_go_on<S: FailedMessages + Bookkeeping>(store: &S) {
    let listed = store.list(&FailedMessageFilter::default(), 10).await.expect("they can be listed");
    assert_eq!(listed.len(), 5);
    let dead = store.show(1).await.expect("it can be shown");
    assert_eq!((dead.attempts, dead.crash_count, &*dead.received.message.payload), (4, 1, &[0xfe, 0][..]));
    assert_eq!(dead.received.message.headers.text("id"), Some("m-dead"));
    let leased = store.lease("billing", 10, LEASE).await.expect("they can be leased");
    assert_eq!(
        (leased.len(), leased[0].failed_message, leased[0].crash_count, leased[0].token),
        (1, 2, 1, 3)
    );
    assert!(leased[0].parked);
    let back = store.lease_returns(Origin::Queue, 10, LEASE).await.expect("redeliveries can be leased");
    assert_eq!((back[0].return_to.as_str(), back[0].leased.failed_message), ("printing", 5));
    let acted = store.act(Action::Retry, &[1], &Operator::new("ann", "cli")).await;
    assert_eq!(acted.expect("an operator can act"), [ActionResult::Done]);
}
