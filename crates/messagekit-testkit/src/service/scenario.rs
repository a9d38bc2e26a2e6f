//! Given events, when an event arrives, then others are emitted.

use std::collections::HashSet;
use std::future::Future;
use std::panic::Location;

use messagekit::adapter::{Failure, FailureKind, Inbox, OutboxEvents, codec};
use messagekit::{Consumer, Delivered, Envelope, Error, ErrorKind, Event, Message, chain};

use super::emitted::{SOURCE, beside, decoded, ids, summary, type_of};

/// Delivers events to a consumer as its run does, one at a time, and reads what it emitted.
///
/// Each delivery has a transaction of its own, with the dedup marker, the effects and the events of the handler. A failed delivery leaves what
/// it leaves in production. The consumer needs no running source.
///
/// [`given`](Self::given) and [`when`](Self::when) read as a specification and panic with what was expected; [`deliver`](Self::deliver) and
/// [`redeliver`](Self::redeliver) return what became of a message.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// # use messagekit::{Consumer, Delivered, Envelope, Event, HandlerError};
/// # use messagekit::adapter::FailureKind;
/// # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
/// # use messagekit_testkit::service::Scenario;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String, pence: i64 }
/// async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
///     if order.data.pence < 0 {
///         return Err(HandlerError::permanent("less than nothing"));
///     }
///     tx.add("billed", order.data.pence);
///     Ok(())
/// }
///
/// let store = MemoryStore::new();
/// let billing = Consumer::builder("billing", store.clone()).from(MemoryLog::new(1)).on(bill).build()?;
/// let order = |pence| OrderPlaced { order_id: "o-1".into(), pence };
///
/// let mut scenario = Scenario::of(&billing);
/// assert_eq!(scenario.deliver(order(995)).await?, Delivered::Handled);
/// assert_eq!(scenario.redeliver().await?, Delivered::Duplicate);
/// assert_eq!(store.get("billed"), 995);
///
/// let refused = scenario.when(order(-1)).then_fails(FailureKind::Permanent).await;
/// assert_eq!(refused.error, "less than nothing");
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Debug)]
#[must_use = "a scenario does nothing until an event is delivered"]
pub struct Scenario<'a, S: Inbox, Src> {
    consumer: &'a Consumer<S, Src>,
    given: Vec<Result<Delivery, Error>>,
    last: Option<Delivery>,
    /// The ids of the events that were in the outbox before.
    before: Option<HashSet<String>>,
}

/// A message for the consumer, and the number of its run.
#[derive(Clone, Debug)]
struct Delivery {
    message: Message,
    attempt: u32,
}

impl Delivery {
    fn of<E: Event>(event: impl Into<Envelope<E>>) -> Result<Self, Error> {
        let envelope = event.into();
        let attempt = envelope.delivery().map_or(1, |delivery| delivery.attempt);
        Ok(Self { message: codec::encode(&envelope, SOURCE)?, attempt })
    }
}

impl<'a, S: Inbox + OutboxEvents, Src> Scenario<'a, S, Src> {
    /// Begins a scenario over a built consumer.
    pub fn of(consumer: &'a Consumer<S, Src>) -> Self {
        Self { consumer, given: Vec::new(), last: None, before: None }
    }

    /// Adds events that the consumer has handled before; what they make it emit is not compared. Call it again for events of another type.
    pub fn given<E: Event>(mut self, events: impl IntoIterator<Item: Into<Envelope<E>>>) -> Self {
        self.given.extend(events.into_iter().map(Delivery::of));
        self
    }

    /// Names the event whose outcome is compared. An [attempt](Envelope::with_attempt) of its envelope is that of the delivery.
    pub fn when<E: Event>(self, event: impl Into<Envelope<E>>) -> When<'a, S, Src> {
        When { delivery: Delivery::of(event), scenario: self }
    }

    /// As [`when`](Self::when), for a message that the test has encoded: of another version, or one that cannot be read.
    pub fn when_message(self, message: Message) -> When<'a, S, Src> {
        When { delivery: Ok(Delivery { message, attempt: 1 }), scenario: self }
    }

    /// Delivers what is given and was not delivered yet, then an event, and returns what became of that. An envelope that is delivered twice is a duplicate; an event gets a new id each
    /// time.
    ///
    /// # Errors
    /// Those of [`Consumer::deliver`], and of an event that cannot be encoded; [`ErrorKind::WrongState`] if a given event fails.
    pub async fn deliver<E: Event>(&mut self, event: impl Into<Envelope<E>>) -> Result<Delivered, Error> {
        let delivery = Delivery::of(event)?;
        for given in std::mem::take(&mut self.given) {
            let delivered = self.hand_over(given?).await?;
            if let Some(failure) = delivered.failure() {
                let text = format!("a given event was not handled ({}): {}", failure.kind, failure.error);
                return Err(Error::new(ErrorKind::WrongState, text));
            }
        }
        self.hand_over(delivery).await
    }

    /// Delivers the last message once more, as a broker does after a lost answer.
    ///
    /// # Errors
    /// Those of [`Consumer::deliver`]; [`ErrorKind::WrongState`] if nothing was delivered.
    pub async fn redeliver(&mut self) -> Result<Delivered, Error> {
        let nothing =
            || Error::new(ErrorKind::WrongState, "nothing was delivered that could be delivered again");
        let delivery = self.last.clone().ok_or_else(nothing)?;
        self.hand_over(delivery).await
    }

    /// Returns the events of type `E` that were written since the first delivery of this scenario.
    ///
    /// # Errors
    /// As [`emitted`](super::emitted()).
    pub async fn emitted<E: Event>(&self) -> Result<Vec<Envelope<E>>, Error> {
        decoded(&self.written().await?)
    }

    async fn hand_over(&mut self, delivery: Delivery) -> Result<Delivered, Error> {
        if self.before.is_none() {
            self.before = Some(ids(&self.consumer.store().outbox_events().await?));
        }
        let Delivery { message, attempt } = delivery.clone();
        self.last = Some(delivery);
        self.consumer.deliver_attempt(message, attempt).await
    }

    async fn written(&self) -> Result<Vec<Message>, Error> {
        let Some(before) = &self.before else { return Ok(Vec::new()) };
        Ok(beside(before, self.consumer.store().outbox_events().await?))
    }

    /// Delivers what is given, and begins to look at what is written.
    async fn prepare(&mut self, at: &Location<'_>) {
        for (index, delivery) in std::mem::take(&mut self.given).into_iter().enumerate() {
            let what = format!("given event {}", index + 1);
            let delivery = must(at, &what, delivery);
            let what = format!("{what}, `{}`,", type_of(&delivery.message));
            match must(at, &what, self.hand_over(delivery).await) {
                Delivered::Handled => {}
                other => panic!("{at}: {what} is expected to be handled, and {}", described(&other)),
            }
        }
        let written = must(at, "the outbox", self.consumer.store().outbox_events().await);
        self.before = Some(ids(&written));
    }
}

/// An event whose outcome is compared. Each comparison panics, with the line of the test, if the outcome is another one.
#[derive(Debug)]
#[must_use = "an event is delivered by its comparison, such as `then_emitted`"]
pub struct When<'a, S: Inbox, Src> {
    scenario: Scenario<'a, S, Src>,
    delivery: Result<Delivery, Error>,
}

impl<'a, S: Inbox + OutboxEvents, Src> When<'a, S, Src> {
    /// Expects that the event is handled, and that these events and no others were emitted, in this order. Returns them with their
    /// metadata.
    ///
    /// Events are compared as JSON, so they need neither `PartialEq` nor `Debug`. For events of several types, use [`Scenario::emitted`].
    ///
    /// # Panics
    /// Panics if the event is not handled, or if other events were emitted.
    #[track_caller]
    pub fn then_emitted<E: Event>(
        self,
        expected: impl IntoIterator<Item = E>,
    ) -> impl Future<Output = Vec<Envelope<E>>> {
        let (at, expected) = (Location::caller(), expected.into_iter().collect::<Vec<E>>());
        async move {
            let (delivered, written) = self.happens(at).await;
            handled(at, &delivered);
            let types = || written.iter().map(type_of);
            let emitted = must(at, "an emitted event", decoded::<E>(&written));
            if types().any(|name| name != E::TYPE) || emitted.len() != expected.len() {
                let expected = summary(std::iter::repeat_n(E::TYPE, expected.len()));
                panic!("{at}: expected {expected}, emitted: {}", summary(types()));
            }
            for (index, (expected, emitted)) in expected.iter().zip(&emitted).enumerate() {
                let (expected, emitted) = (json(expected), json(&emitted.data));
                assert!(
                    expected == emitted,
                    "{at}: event {} of {}, `{}`, differs\n  expected: {expected}\n  emitted:  {emitted}",
                    index + 1,
                    written.len(),
                    E::TYPE
                );
            }
            emitted
        }
    }

    /// Expects that the event is handled, and that nothing was emitted.
    ///
    /// # Panics
    /// Panics if the event is not handled, or if something was emitted.
    #[track_caller]
    pub fn then_emitted_nothing(self) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let (delivered, written) = self.happens(at).await;
            handled(at, &delivered);
            let emitted = summary(written.iter().map(type_of));
            assert!(written.is_empty(), "{at}: expected nothing, emitted: {emitted}");
        }
    }

    /// Expects that the event cannot be applied for this reason, and that nothing was emitted. Returns the failure, with its error, for
    /// more comparisons.
    ///
    /// An error that a handler returns with `?`, or as [`retryable`](messagekit::HandlerError::retryable), is [`FailureKind::Failed`].
    ///
    /// # Panics
    /// Panics if the event has another outcome, or if something was emitted.
    #[track_caller]
    pub fn then_fails(self, kind: FailureKind) -> impl Future<Output = Failure> {
        let at = Location::caller();
        async move {
            let (delivered, written) = self.happens(at).await;
            let emitted = summary(written.iter().map(type_of));
            assert!(written.is_empty(), "{at}: expected a failure that keeps nothing, emitted: {emitted}");
            match delivered.failure() {
                Some(failure) if failure.kind == kind => failure.clone(),
                _ => panic!("{at}: the event is expected to fail ({kind}), and {}", described(&delivered)),
            }
        }
    }

    /// Expects this outcome, such as [`Delivered::Duplicate`] or [`Delivered::Ignored`], and that nothing was emitted.
    ///
    /// # Panics
    /// Panics if the event has another outcome, or if something was emitted.
    #[track_caller]
    pub fn then_is(self, expected: Delivered) -> impl Future<Output = ()> {
        let at = Location::caller();
        async move {
            let (delivered, written) = self.happens(at).await;
            let emitted = summary(written.iter().map(type_of));
            assert!(
                delivered == expected,
                "{at}: the event is expected as one that {}, and {}",
                described(&expected),
                described(&delivered)
            );
            assert!(written.is_empty(), "{at}: expected nothing, emitted: {emitted}");
        }
    }

    async fn happens(self, at: &Location<'_>) -> (Delivered, Vec<Message>) {
        let Self { mut scenario, delivery } = self;
        scenario.prepare(at).await;
        let delivery = must(at, "the event", delivery);
        let what = format!("`{}`", type_of(&delivery.message));
        let delivered = must(at, &what, scenario.hand_over(delivery).await);
        let written = must(at, "the outbox", scenario.written().await);
        (delivered, written)
    }
}

fn handled(at: &Location<'_>, delivered: &Delivered) {
    let is_handled = *delivered == Delivered::Handled;
    assert!(is_handled, "{at}: the event is expected to be handled, and {}", described(delivered));
}

/// Says what became of an event, behind "it".
fn described(delivered: &Delivered) -> String {
    match delivered {
        Delivered::Handled => "was handled".to_owned(),
        Delivered::Duplicate => "is a duplicate of a message that was handled or set aside".to_owned(),
        Delivered::Ignored => "was ignored: no handler takes its type".to_owned(),
        Delivered::Failed(failure) => format!("failed ({}): {}", failure.kind, failure.error),
        Delivered::Waits(failure) => {
            format!("waits to be delivered again ({}): {}", failure.kind, failure.error)
        }
        other => format!("{other:?}"),
    }
}

fn json<E: Event>(event: &E) -> serde_json::Value {
    serde_json::to_value(event).expect("an event is JSON: it was encoded")
}

fn must<T>(at: &Location<'_>, what: &str, result: Result<T, Error>) -> T {
    result.unwrap_or_else(|error| panic!("{at}: {what} failed: {}", chain(&error)))
}
