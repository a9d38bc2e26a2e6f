//! A log with orders, a broker and a running bridge.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::{Error, Message, Shutdown, headers};
use messagekit_bridge::{Bridge, BridgeBuilder, Rule, Stats};
use messagekit_memory::{MemoryLog, MemorySource};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::broker::Broker;

pub(crate) const BRIDGE: &str = "orders-bridge";
pub(crate) const TOPIC: &str = "orders.order";
pub(crate) const RETRY: &str = "orders-bridge.retry";
pub(crate) const DEAD: &str = "orders-bridge.dead";

/// Longer than any outage in these tests but finite; virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The environment of one bridge.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) broker: Broker,
}

impl World {
    pub(crate) fn new(partitions: usize) -> Self {
        Self { log: MemoryLog::new(partitions), broker: Broker::new() }
    }

    pub(crate) fn bridge(&self) -> BridgeBuilder<MemorySource> {
        Bridge::builder(BRIDGE)
            .from(self.log.topics([TOPIC, RETRY]))
            .rule(Rule::new([TOPIC], Arc::new(self.broker.clone())))
            .dead_letters(Arc::new(self.log.clone()), DEAD)
    }

    pub(crate) async fn publish(&self, messages: impl IntoIterator<Item = Message>) {
        let batch: Vec<Message> = messages.into_iter().collect();
        self.log.publish(&batch).await.into_iter().for_each(|published| published.unwrap());
    }

    /// Publishes `of` messages of each key, in turn.
    pub(crate) async fn publish_keys(&self, keys: usize, of: usize) {
        for n in 0..of {
            self.publish((0..keys).map(|key| order(&format!("k{key}"), n))).await;
        }
    }

    pub(crate) fn dead_letters(&self) -> Vec<Message> {
        self.log.records(DEAD).into_iter().map(|record| record.message).collect()
    }

    /// Returns the number of settled records of the topic, over all partitions.
    pub(crate) fn committed(&self) -> i64 {
        (0..16).map(|partition| self.log.committed(BRIDGE, TOPIC, partition)).sum()
    }
}

/// Returns the message `key-n`.
pub(crate) fn order(key: &str, n: usize) -> Message {
    let id = format!("{key}-{n}");
    Message::new(TOPIC, format!("{{\"orderId\": \"{id}\"}}"))
        .with_key(key.to_owned())
        .with_header(headers::ID, id)
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
}

/// A running bridge.
pub(crate) struct Running {
    pub(crate) stats: Stats,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    pub(crate) fn start(builder: BridgeBuilder<MemorySource>) -> Self {
        let bridge = builder.build().unwrap();
        let (stats, shutdown) = (bridge.stats(), Shutdown::new());
        let task = tokio::spawn(bridge.run(shutdown.clone()));
        Self { stats, shutdown, task }
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
}

/// Waits until a condition holds.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns first deliveries of each key, in the broker's order.
pub(crate) fn firsts_of(ids: &[String], key: &str) -> Vec<usize> {
    let mut seen = Vec::new();
    for id in ids {
        let (of, n) = id.rsplit_once('-').unwrap();
        let n = n.parse().unwrap();
        if of == key && !seen.contains(&n) {
            seen.push(n);
        }
    }
    seen
}
