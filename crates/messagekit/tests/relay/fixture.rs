//! An outbox with orders, a broker and running relays.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use messagekit::relay::{Relay, RelayBuilder, Stats};
use messagekit::{Error, Message, Shutdown, headers};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::broker::Broker;
use crate::outbox::Outbox;

pub(crate) const RELAY: &str = "orders-relay";
pub(crate) const TOPIC: &str = "orders.order";
pub(crate) const OTHER: &str = "orders.parcel";

/// Longer than any outage in these tests but finite; virtual time.
const PATIENCE: Duration = Duration::from_secs(120);

/// The environment of one relay.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) outbox: Outbox,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { outbox: Outbox::new(), broker: Broker::new() }
    }

    pub(crate) fn relay(&self) -> RelayBuilder {
        self.relay_named(RELAY)
    }

    pub(crate) fn relay_named(&self, name: &str) -> RelayBuilder {
        Relay::builder(name).reader(Arc::new(self.outbox.clone())).to(Arc::new(self.broker.clone()))
    }

    /// Commits `of` orders of each key, in turn.
    pub(crate) fn write_keys(&self, keys: usize, of: usize) {
        for n in 0..of {
            self.outbox.write((0..keys).map(|key| order(&format!("k{key}"), n)));
        }
    }

    /// Waits until this many different events are at the broker and none is pending.
    pub(crate) async fn until_drained(&self, different: usize) {
        until("everything is published", || {
            self.outbox.pending_count() == 0 && firsts(&self.broker.taken()).len() == different
        })
        .await;
    }
}

/// Returns the event `key-n`.
pub(crate) fn order(key: &str, n: usize) -> Message {
    event(TOPIC, key, n)
}

pub(crate) fn event(topic: &str, key: &str, n: usize) -> Message {
    let id = format!("{key}-{n}");
    Message::new(topic, format!("{{\"orderId\": \"{id}\"}}"))
        .with_key(key.to_owned())
        .with_header(headers::ID, id)
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
}

/// A running relay.
pub(crate) struct Running {
    pub(crate) stats: Stats,
    shutdown: Shutdown,
    ice: Arc<Ice>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) fn start(builder: RelayBuilder) -> Self {
        let relay = builder.build().unwrap();
        let (stats, shutdown, ice) = (relay.stats(), Shutdown::new(), Arc::new(Ice::default()));
        let inner = Box::pin(relay.run(shutdown.clone()));
        let task = tokio::spawn(Freezable { inner, ice: Arc::clone(&ice) });
        Self { stats, shutdown, ice, task }
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.shutdown.request();
        self.task.await.unwrap()
    }

    /// Ends it as a kill does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Suspends or continues it as a signal does; the relay is not notified.
    pub(crate) fn freeze(&self, frozen: bool) {
        let mut state = self.ice.0.lock().unwrap();
        state.0 = frozen;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    /// Waits for an end without a shutdown request.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        self.task.await.unwrap()
    }
}

#[derive(Default)]
struct Ice(Mutex<(bool, Option<Waker>)>);

struct Freezable {
    inner: Pin<Box<dyn Future<Output = Result<(), Error>> + Send>>,
    ice: Arc<Ice>,
}

impl Future for Freezable {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        {
            let mut state = self.ice.0.lock().unwrap();
            state.1 = Some(cx.waker().clone());
            if state.0 {
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(cx)
    }
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a condition holds, and panics if that takes longer than `time`.
pub(crate) async fn within(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    until(what, &mut is_so).await;
    // Allow for the polling interval of the check.
    assert!(begin.elapsed() <= time + Duration::from_millis(10), "{what}: only after {:?}", begin.elapsed());
}

/// Returns the first message of each id, and checks that all others are copies of it.
pub(crate) fn firsts(taken: &[Message]) -> BTreeMap<String, Message> {
    let mut firsts: BTreeMap<String, Message> = BTreeMap::new();
    for message in taken {
        let id = message.headers.text(headers::ID).unwrap().to_owned();
        assert_eq!(firsts.entry(id).or_insert_with(|| message.clone()), message);
    }
    firsts
}

/// Returns the numbers of first deliveries of a topic and key, in the broker's order.
pub(crate) fn firsts_of(taken: &[Message], topic: &str, key: &str) -> Vec<usize> {
    let mut seen = Vec::new();
    for message in taken.iter().filter(|message| &*message.topic == topic) {
        let (of, n) = message.headers.text(headers::ID).unwrap().rsplit_once('-').unwrap();
        let n = n.parse().unwrap();
        if of == key && !seen.contains(&n) {
            seen.push(n);
        }
    }
    seen
}
