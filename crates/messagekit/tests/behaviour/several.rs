//! A handler that takes several events per call.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use messagekit::adapter::{BatchLimit, OutboxRows, codec};
use messagekit::handler::Inner;
use messagekit::operations::FailedMessageState;
use messagekit::{
    Backoff, Consumer, DeliveryInfo, Envelope, Event, HandlerError, Message, Middleware, OnFailure,
};
use messagekit_memory::{MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

use crate::fixture::{
    Builder, CALM, CONSUMER, FIFTY, Placed, TOPIC, World, id, names, pass, placed, seconds, until,
};

/// The handler's result for an event.
type Answer = Box<dyn Fn(&str) -> Option<HandlerError> + Send + Sync>;

/// The events of each call, and the handler's results.
struct Book {
    store: MemoryStore,
    calls: Mutex<Vec<Vec<String>>>,
    answer: Answer,
    /// Whether its error names the failing event.
    names_event: bool,
}

impl Book {
    fn new(
        world: &World,
        names_event: bool,
        answer: impl Fn(&str) -> Option<HandlerError> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let (store, calls) = (world.store.clone(), Mutex::default());
        Arc::new(Self { store, calls, answer: Box::new(answer), names_event })
    }

    /// The calls after those of the warm-up messages.
    fn calls(&self) -> Vec<Vec<String>> {
        let calls = self.calls.lock().expect("calls");
        calls.iter().filter(|call| !call[0].starts_with("calm")).cloned().collect()
    }
}

async fn book(book: &Book, tx: &mut MemoryTx, events: Vec<Envelope<Placed>>) -> Result<(), HandlerError> {
    let ids: Vec<String> = events.iter().map(|event| event.event_id.to_string()).collect();
    book.calls.lock().expect("calls").push(ids.clone());
    let rows: Vec<Message> = ids.iter().map(|id| Message::new("applied", id.clone())).collect();
    // Write before the failure: an incomplete rollback would leave these rows visible.
    book.store.write(tx, &rows).await?;
    match ids.iter().enumerate().find_map(|(index, id)| Some((index, (book.answer)(id)?))) {
        Some((index, error)) if book.names_event => Err(error.at(index)),
        Some((_, error)) => Err(error),
        None => Ok(()),
    }
}

fn fine(_: &str) -> Option<HandlerError> {
    None
}

fn booking(world: &World, with: &Arc<Book>) -> Builder {
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.topics()).batch(FIFTY);
    builder.on_batch_with(with.clone(), book).backoff(Backoff::fixed(seconds(1)))
}

/// Returns the events `key-1` to `key-last`, for one publish.
fn events(key: &str, last: i64) -> Vec<Message> {
    (1..=last).map(|n| placed(key, n)).collect()
}

fn of(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

/// Returns the applied ids without warm-up messages.
fn applied(world: &World) -> Vec<String> {
    world.applied().into_iter().filter(|id| !id.starts_with("calm")).collect()
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_lane_comes_in_one_call_in_its_order() {
    let world = World::new(1);
    let with = Book::new(&world, false, fine);
    let consumer = world.start_calm(booking(&world, &with)).await;
    world.publish_all(&events("a", 50)).await;
    until(|| applied(&world).len() == 50).await;
    assert_eq!(with.calls(), [names("a", 50)]);
    assert_eq!(consumer.stop().await.handled, CALM.unsigned_abs() + 50);
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.cancelled", key = "order")]
struct Cancelled {
    order: String,
}

async fn cancel(
    store: &MemoryStore,
    tx: &mut MemoryTx,
    event: Envelope<Cancelled>,
) -> Result<(), HandlerError> {
    Ok(store.write(tx, &[Message::new("applied", event.event_id.to_string())]).await?)
}

#[tokio::test(start_paused = true)]
async fn another_type_in_between_ends_a_batch_call_and_keeps_order() {
    let world = World::new(1);
    let with = Book::new(&world, false, fine);
    let builder = booking(&world, &with).on_with(Arc::new(world.store.clone()), cancel);
    let consumer = world.start_calm(builder).await;
    let mut cancelled = Envelope::new(Cancelled { order: "a".to_owned() });
    cancelled.event_id = id("x-1");
    let messages = [
        placed("a", 1),
        placed("a", 2),
        placed("a", 1),
        codec::encode(&cancelled, "shop").expect("a plain event"),
        placed("a", 2),
        placed("a", 3),
        placed("a", 3),
        placed("b", 1),
    ];
    world.publish_all(&messages).await;
    until(|| applied(&world).len() == 5).await;
    assert_eq!(applied(&world), ["a-1", "a-2", "x-1", "a-3", "b-1"]);
    let calls = [of(&["a-1", "a-2"]), of(&["a-3"]), of(&["b-1"])];
    assert_eq!(with.calls(), calls, "a copy is not given, and ends a call like any other message in between");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn culprit_named_by_the_batch_handler_fails_at_once() {
    let world = World::new(1);
    let with = Book::new(&world, true, |id| (id == "a-7").then(|| HandlerError::permanent("no")));
    let consumer = world.start_calm(booking(&world, &with).on_failure(OnFailure::DeadLetter)).await;
    world.publish_all(&events("a", 20)).await;
    until(|| applied(&world).len() == 19).await;
    assert_eq!(with.calls(), [names("a", 20), names("a", 6), names("a", 20)[7..].to_vec()]);
    let failed_message = world.failed_message("a-7").await;
    assert_eq!(
        (&*failed_message.kind, failed_message.state, &*failed_message.error),
        ("permanent", FailedMessageState::Dead, "no")
    );
    assert_eq!(world.failed_messages_now(), 1);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn unnamed_culprit_of_a_batch_is_found_by_bisection() {
    let world = World::new(1);
    let with =
        Book::new(&world, false, |id| matches!(id, "a-7" | "a-31").then(|| HandlerError::permanent("no")));
    let consumer = world.start_calm(booking(&world, &with).on_failure(OnFailure::DeadLetter)).await;
    world.publish_all(&events("a", 50)).await;
    until(|| applied(&world).len() == 48).await;
    let expected: Vec<String> = names("a", 50).into_iter().filter(|id| id != "a-7" && id != "a-31").collect();
    assert_eq!(applied(&world), expected, "each once, in order");
    let failed_messages = world.failed_messages().await;
    let set_apart: Vec<&str> =
        failed_messages.iter().map(|failed_message| failed_message.received.id.as_str()).collect();
    assert_eq!(set_apart, ["a-7", "a-31"]);
    assert!(
        failed_messages
            .iter()
            .all(|failed_message| failed_message.kind == "permanent" && failed_message.attempts == 1)
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_set_apart_alone() {
    let world = World::new(1);
    let with = Book::new(&world, false, fine);
    let consumer = world.start_calm(booking(&world, &with).on_failure(OnFailure::DeadLetter)).await;
    let mut broken = placed("a", 3);
    let body = r#"{"eventId":"a-3","eventType":"orders.order.placed","order":"a","n":"three"}"#;
    broken.payload = body.into();
    let [first, second] = [1, 2].map(|n| placed("a", n));
    world.publish_all(&[first, second, broken, placed("a", 4)]).await;
    until(|| applied(&world).len() == 3).await;
    assert_eq!(world.failed_message("a-3").await.kind, "undecodable");
    assert_eq!(world.failed_messages_now(), 1);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn key_order_holds_and_messages_behind_a_failure_share_a_call() {
    let world = World::new(1);
    let healed = Arc::new(Mutex::new(false));
    let seen = healed.clone();
    let with = Book::new(&world, false, move |id| {
        (id == "a-2" && !*seen.lock().expect("seen")).then(|| HandlerError::retryable("not yet"))
    });
    let consumer = world.start_calm(booking(&world, &with)).await;
    world.publish_all(&[events("a", 4), events("b", 4)].concat()).await;
    until(|| applied(&world).len() == 5).await;
    assert_eq!(applied(&world), ["a-1", "b-1", "b-2", "b-3", "b-4"]);
    *healed.lock().expect("healed") = true;
    until(|| applied(&world).len() == 8).await;
    assert_eq!(applied(&world)[5..], ["a-2", "a-3", "a-4"]);
    assert_eq!(with.calls().last(), Some(&of(&["a-3", "a-4"])), "the one that has failed runs alone before");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_halved_until_it_does_not() {
    async fn slow(
        store: &MemoryStore,
        tx: &mut MemoryTx,
        events: Vec<Envelope<Placed>>,
    ) -> Result<(), HandlerError> {
        let left = |event: &Envelope<Placed>| event.delivery().and_then(DeliveryInfo::time_left);
        if events.iter().any(|event| left(event) != Some(seconds(7))) {
            return Err(HandlerError::permanent("each event has the deadline of this call"));
        }
        tokio::time::sleep(seconds(events.len() as u64)).await;
        let rows = events.iter().map(|event| Message::new("applied", event.event_id.to_string()));
        Ok(store.write(tx, &rows.collect::<Vec<_>>()).await?)
    }
    let world = World::new(1);
    let consumer = Consumer::builder(CONSUMER, world.store.clone())
        .from(world.log.topics([TOPIC]))
        .deadline(seconds(7))
        .batch(BatchLimit { messages: NonZeroU32::new(20).expect("20 > 0"), time: Duration::MAX })
        .on_batch_with(Arc::new(world.store.clone()), slow);
    let consumer = world.start_calm(consumer).await;
    world.publish_all(&events("a", 20)).await;
    until(|| applied(&world).len() == 20).await;
    assert_eq!(applied(&world), names("a", 20));
    assert_eq!(world.failed_messages_now(), 0);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_several_burns_nothing() {
    let world = World::new(1);
    let down = Arc::new(Mutex::new(true));
    let seen = down.clone();
    let with = Book::new(&world, false, move |id| {
        (!id.starts_with("calm") && *seen.lock().expect("seen")).then(|| HandlerError::unavailable("away"))
    });
    let consumer = world.start_calm(booking(&world, &with)).await;
    world.publish_all(&events("a", 20)).await;
    pass(seconds(300)).await;
    assert_eq!((applied(&world).len(), world.failed_messages_now()), (0, 0));
    *down.lock().expect("down") = false;
    pass(seconds(6)).await;
    assert_eq!(applied(&world), names("a", 20));
    consumer.stop().await;
}

/// Records the number of events per call.
struct Seen(Arc<Mutex<Vec<usize>>>);

#[async_trait]
impl Middleware<MemoryStore> for Seen {
    async fn handle(&self, tx: &mut MemoryTx, inner: Inner<'_, MemoryStore>) -> Result<(), HandlerError> {
        self.0.lock().expect("seen").push(inner.messages().count());
        inner.run(tx).await
    }
}

#[tokio::test(start_paused = true)]
async fn middleware_runs_once_per_batch_call_and_sees_all_messages() {
    let world = World::new(1);
    let (with, seen) = (Book::new(&world, false, fine), Arc::new(Mutex::default()));
    let consumer = world.start_calm(booking(&world, &with).wrap(Seen(seen.clone()))).await;
    world.publish_all(&events("a", 30)).await;
    until(|| applied(&world).len() == 30).await;
    assert_eq!(seen.lock().expect("seen").last(), Some(&30));
    consumer.stop().await;
}
