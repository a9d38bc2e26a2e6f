//! The fixture that an adapter supplies to run the store suite.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{
    Bookkeeping, ClaimRequest, FailedMessageRows, Failure, FailureKind, FullInbox, Inbox, Markers, Next,
    OutboxRows, ReceivedMessage, Retries, RetryLease, SetAsideOutcome,
};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessages, Operations, Operator,
};
use messagekit::{Claim, Error, ErrorKind, Message, MessageId, ParkingLimits, Position, Store, headers};

use crate::{DEADLINE, eventually, unique};

/// A database with its tables and a business table. A clone uses the same database.
///
/// A store of markers and positions alone supplies this fixture, and runs the cases of those parts. A store with
/// [attempts](crate::store::list::attempts) or [primings](crate::store::list::primings) runs theirs over it, too.
pub trait StoreFixture: Clone + Send + Sync + 'static {
    /// The adapter's store.
    type Store: Inbox;

    /// Returns a handle to the database.
    fn store(&self) -> Self::Store;

    /// Opens the same database a second time, as another process would. Returns `None` if only one handle is possible.
    fn second(&self) -> impl Future<Output = Option<Self::Store>> + Send {
        async { None }
    }

    /// Returns whether [`second`](Self::second) returns a store.
    fn has_second(&self) -> bool {
        false
    }

    /// Writes one business row with this key in the transaction. Two calls with the same key write two rows.
    fn effect(&self, tx: &mut <Self::Store as Store>::Tx, key: &str) -> impl Future<Output = ()> + Send;

    /// Counts the committed business rows of a key.
    fn effects(&self, key: &str) -> impl Future<Output = u64> + Send;

    /// Returns whether a failed statement fails the transaction, and
    /// [`swallow_error`](Self::swallow_error) can make one fail.
    fn can_swallow_errors(&self) -> bool {
        false
    }

    /// Makes a statement fail and hides its error.
    fn swallow_error(&self, _tx: &mut <Self::Store as Store>::Tx) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns whether [`refuse_begin`](Self::refuse_begin) works.
    fn can_refuse_begin(&self) -> bool {
        false
    }

    /// Makes the next `begin` of [`store`](Self::store) fail.
    fn refuse_begin(&self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// The fixture of a store with all duties of consumers, the failed messages of brokers, and lists for operators.
pub trait FailedMessagesFixture: StoreFixture<Store: FullInbox + FailedMessages + Bookkeeping> {
    /// Returns the rows of the audit, oldest first.
    fn audit(&self) -> impl Future<Output = Vec<Audited>> + Send;

    /// Removes the marker of a message, as retention does.
    fn forget_marker(&self, consumer: &str, id: &MessageId) -> impl Future<Output = ()> + Send;
}

/// The fixture of a store with an outbox, a bookkeeper and everything that operators read.
pub trait OperatorsFixture: FailedMessagesFixture + StoreFixture<Store: OutboxRows + Operations> {
    /// Returns the committed events of a topic as a publisher reads them, oldest first.
    fn events(&self, topic: &str) -> impl Future<Output = Vec<Message>> + Send;

    /// Returns the committed records of events that failed elsewhere: id, scope and reason.
    fn failures(&self) -> impl Future<Output = Vec<(String, String, String)>> + Send;

    /// Makes the markers of a consumer and the events of a topic older by this time.
    fn age(&self, consumer: &str, topic: &str, by: Duration) -> impl Future<Output = ()> + Send;
}

/// A row of the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audited {
    /// The name of the operator.
    pub by: String,
    /// The interface through which the action came.
    pub through: String,
    /// The request id, if there is one.
    pub request_id: Option<String>,
    /// `retry`, `discard`, `undo`, `replay` or `cancel-replay`.
    pub action: String,
    /// The requested failed messages, or the replay.
    pub ids: Vec<i64>,
    /// The number of ids that the action changed.
    pub done: u64,
}

/// Returns a complete received message with its own id.
pub fn received(topic: &str, text: &str) -> ReceivedMessage {
    let id = unique("m");
    let message = Message::new(topic, text.to_owned())
        .with_key("k")
        .with_header(headers::ID, id.clone())
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    let position = Position { topic: Arc::from(topic), partition: 0, offset: 7 };
    ReceivedMessage { id: MessageId::from_stored(&id), message, position: Some(position) }
}

/// Returns the claim of a received message.
pub fn request(received: &ReceivedMessage) -> ClaimRequest {
    ClaimRequest {
        id: received.id.clone(),
        topic: received.message.topic.clone(),
        key: received.message.key.clone(),
        generation: 0,
    }
}

/// Returns a message with a key at an offset of its topic.
pub(super) fn of_key(topic: &str, key: &str, offset: i64) -> ReceivedMessage {
    let mut message = received(topic, "{}");
    message.message = message.message.with_key(key.to_owned());
    message.position = Some(Position { topic: Arc::from(topic), partition: 0, offset });
    message
}

/// Returns a failure that needs an operator.
pub fn dead(error: &str) -> Failure {
    Failure::permanent(FailureKind::Permanent, error)
}

/// Returns a failure that is due again after `delay`.
pub fn retry_in(delay: Duration) -> Failure {
    Failure { next: Next::Retry(delay), ..Failure::retryable(FailureKind::Failed, "no stock for order 17") }
}

/// Repeats a transaction that conflicts with another process until it succeeds.
pub(crate) async fn until_through<R, Fut>(mut attempt: impl FnMut() -> Fut) -> R
where
    Fut: Future<Output = Result<R, Error>>,
{
    let end = tokio::time::Instant::now() + DEADLINE;
    loop {
        match attempt().await {
            Ok(result) => return result,
            Err(error) if error.is_transient() && tokio::time::Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Err(error) => panic!("the transaction does not get through: {error:?}"),
        }
    }
}

/// Begins a transaction.
pub(crate) async fn begin<S: Store>(store: &S) -> S::Tx {
    until_through(|| store.begin()).await
}

/// Commits a transaction.
pub(super) async fn commit<S: Store>(store: &S, tx: S::Tx) {
    store.commit(tx).await.expect("the transaction commits");
}

/// Claims in a transaction.
pub(super) async fn claim_in<S: Markers>(
    store: &S,
    tx: &mut S::Tx,
    consumer: &str,
    of: &[&ReceivedMessage],
) -> Vec<Claim> {
    let requests: Vec<ClaimRequest> = of.iter().map(|received| request(received)).collect();
    store.claim(tx, consumer, &requests).await.expect("claims are answered")
}

/// Claims in its own transaction, which commits.
pub(super) async fn claim_now<S: Markers>(store: &S, consumer: &str, received: &ReceivedMessage) -> Claim {
    let mut tx = begin(store).await;
    let answer = claim_in(store, &mut tx, consumer, &[received]).await[0];
    commit(store, tx).await;
    answer
}

/// Returns the answer to a claim under a generation, and rolls back.
pub(super) async fn look_again<S: Markers>(
    store: &S,
    consumer: &str,
    received: &ReceivedMessage,
    generation: i32,
) -> Claim {
    let mut tx = begin(store).await;
    let again = ClaimRequest { generation, ..request(received) };
    let answers = store.claim(&mut tx, consumer, &[again]).await.expect("claims are answered");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    answers[0]
}

/// Returns the answer to a claim, and rolls back.
pub(super) async fn look<S: Markers>(store: &S, consumer: &str, received: &ReceivedMessage) -> Claim {
    let mut tx = begin(store).await;
    let answer = claim_in(store, &mut tx, consumer, &[received]).await[0];
    store.rollback(tx).await.expect("a transaction can be rolled back");
    answer
}

/// Sets a message aside in its own transaction, which commits.
pub(super) async fn set_aside_now<S: Inbox>(
    store: &S,
    consumer: &str,
    received: &ReceivedMessage,
    failure: &Failure,
) -> SetAsideOutcome {
    let mut tx = begin(store).await;
    let outcome = store.failed_messages().set_aside(&mut tx, consumer, received, failure).await;
    let outcome = outcome.expect("the message can be set aside");
    commit(store, tx).await;
    outcome
}

/// Parks a message in its own transaction, which commits.
pub(super) async fn park_now<S: FullInbox>(
    store: &S,
    consumer: &str,
    received: &ReceivedMessage,
    failure: &Failure,
) -> SetAsideOutcome {
    let mut tx = begin(store).await;
    let outcome = store.park(&mut tx, consumer, received, failure, ParkingLimits::default()).await;
    commit(store, tx).await;
    outcome.expect("the message can be parked")
}

/// Claims messages whose key is blocked and parks them behind it, in a transaction that commits.
pub(super) async fn behind_now<S: FullInbox>(store: &S, consumer: &str, behind: &[&ReceivedMessage]) {
    let mut tx = begin(store).await;
    assert_eq!(claim_in(store, &mut tx, consumer, behind).await, vec![Claim::KeyBlocked; behind.len()]);
    let kept = store.park_behind(&mut tx, consumer, behind, ParkingLimits::default()).await;
    assert_eq!(kept.expect("what is behind can be kept"), behind.len());
    commit(store, tx).await;
}

/// Applies a leased failed message: writes its effect and resolves it.
pub(super) async fn apply_leased<F: FailedMessagesFixture>(fixture: &F, consumer: &str, leased: &RetryLease) {
    let store = fixture.store();
    until_through(|| async {
        let mut tx = store.begin().await?;
        fixture.effect(&mut tx, leased.received.id.as_str()).await;
        assert!(store.resolve(&mut tx, consumer, leased, &[]).await?, "the lease holds");
        store.commit(tx).await
    })
    .await;
}

/// Leases the failed message that is due now or soon.
pub(super) async fn leased_when_due<S: FullInbox>(store: &S, consumer: &str, lease: Duration) -> RetryLease {
    let mut next = Vec::new();
    let is_due = async || {
        next = store.lease(consumer, 1, lease).await.expect("leases are answered");
        !next.is_empty()
    };
    eventually("a failed message can be leased", DEADLINE, is_due).await;
    next.remove(0)
}

/// Runs the due failed messages one after another, until none is due. Returns their messages in the order in which they ran.
pub(super) async fn runs<F: FailedMessagesFixture>(fixture: &F, consumer: &str) -> Vec<MessageId> {
    let (store, mut ran) = (fixture.store(), Vec::new());
    loop {
        let leased = store.lease(consumer, 1, Duration::from_secs(3_600)).await.expect("leases are answered");
        let Some(leased) = leased.into_iter().next() else { return ran };
        apply_leased(fixture, consumer, &leased).await;
        ran.push(leased.received.id);
        assert!(ran.len() <= 100, "failed messages run again and again");
    }
}

/// Returns the filter for the failed messages of one consumer.
pub(super) fn of(consumer: &str) -> FailedMessageFilter {
    FailedMessageFilter { consumer: Some(consumer.to_owned()), ..FailedMessageFilter::default() }
}

/// Returns the only failed message of a consumer.
pub(crate) async fn only_failed_message<S: FailedMessages>(
    store: &S,
    consumer: &str,
) -> messagekit::operations::FailedMessage {
    let failed_messages = store.ids(&of(consumer), 10).await.expect("failed messages can be listed");
    assert_eq!(failed_messages.len(), 1, "{consumer} has one failed message");
    store.show(failed_messages[0]).await.expect("the failed message can be shown")
}

/// Sets a message aside as dead and returns the number of its failed message.
pub(super) async fn failed_message<S: FullInbox + FailedMessages>(
    store: &S,
    consumer: &str,
    received: &ReceivedMessage,
) -> i64 {
    set_aside_now(store, consumer, received, &dead("no")).await;
    store.list(&of(consumer), 1).await.expect("failed messages can be listed")[0].id
}

/// Returns an operator.
pub(super) fn somebody() -> Operator {
    Operator::new("somebody", "test")
}

/// Performs an action on one failed message.
pub(crate) async fn act<S: FailedMessages>(store: &S, act: Action, id: i64) -> ActionResult {
    let acted = until_through(|| async move { store.act(act, &[id], &somebody()).await }).await;
    assert_eq!(acted.len(), 1, "one answer for one failed message");
    acted[0]
}

/// Acts on one failed message and asks for its state; returns whether the action applied.
pub(super) async fn applies<S: FailedMessages>(store: &S, act: Action, id: i64) -> bool {
    let by = somebody();
    let answer = || async {
        match store.act_on(act, id, &by).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::WrongState => Ok(false),
            Err(error) => Err(error),
        }
    };
    until_through(answer).await
}
