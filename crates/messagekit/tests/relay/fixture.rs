//! An outbox with orders, a broker and relays at work.

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

/// Longer than any outage here, shorter than for ever; virtual time.
const PATIENCE: Duration = Duration::from_secs(120);

/// One relay's surroundings.
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

    /// Waits until so many different events are at the broker and nothing is pending.
    pub(crate) async fn until_drained(&self, different: usize) {
        until("everything is published", || {
            self.outbox.pending_count() == 0 && firsts(&self.broker.taken()).len() == different
        })
        .await;
    }
}

/// The event `key-n`.
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

/// A relay that runs.
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

    /// Stops or continues it as a signal does: it learns nothing of it.
    pub(crate) fn freeze(&self, frozen: bool) {
        let mut state = self.ice.0.lock().unwrap();
        state.0 = frozen;
        if let Some(waker) = state.1.take() {
            waker.wake();
        }
    }

    /// Waits for the end that nobody asked for.
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

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until something is so; it must be within a time.
pub(crate) async fn within(time: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    until(what, &mut is_so).await;
    // What looks is only as quick as its own steps.
    assert!(begin.elapsed() <= time + Duration::from_millis(10), "{what}: only after {:?}", begin.elapsed());
}

/// The first message of each id, after checking that every other is a copy of it.
pub(crate) fn firsts(taken: &[Message]) -> BTreeMap<String, Message> {
    let mut firsts: BTreeMap<String, Message> = BTreeMap::new();
    for message in taken {
        let id = message.headers.text(headers::ID).unwrap().to_owned();
        assert_eq!(firsts.entry(id).or_insert_with(|| message.clone()), message);
    }
    firsts
}

/// Numbers of the first appearances of a topic and key, in the order of the broker.
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
