//! A log, a store and a running consumer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use messagekit::adapter::{BatchLimit, Inbox, Publisher, Source, codec};
use messagekit::consumer::ConsumerStats;
use messagekit::operations::{FailedMessage, FailedMessageFilter, FailedMessages, Operator};
use messagekit::{
    Backoff, Claim, Consumer, ConsumerBuilder, Envelope, Error, Message, MessageId, OnFailure, Shutdown,
    Stats, headers,
};
use messagekit_memory::{MemoryLog, MemorySource, MemoryStore, MemoryTx};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use crate::script::{Action, Placed, Script, apply};
use crate::watch;

pub(crate) const CONSUMER: &str = "billing";
pub(crate) const TOPIC: &str = "orders.order";

/// Messages per transaction in these tests: fewer than the default, for shorter test data.
pub(crate) const FIFTY: BatchLimit =
    BatchLimit { messages: NonZeroU32::new(50).unwrap(), time: Duration::from_millis(50) };

/// Number of warm-up messages: the maximum batch size.
pub(crate) const CALM: i64 = 50;
/// Key of the warm-up messages.
pub(crate) const CALM_KEY: &str = "calm";

/// Longer than any outage in these tests but finite; usually virtual time.
const PATIENCE: Duration = Duration::from_secs(3_600);

/// The environment of one consumer.
pub(crate) struct World {
    pub(crate) log: MemoryLog,
    pub(crate) store: MemoryStore,
    pub(crate) script: Arc<Script>,
}

pub(crate) type Builder = ConsumerBuilder<MemoryStore, MemorySource>;

impl World {
    pub(crate) fn new(partitions: usize) -> Self {
        watch::begin();
        let store = MemoryStore::new();
        let script = Arc::new(Script::new(&store));
        Self { log: MemoryLog::new(partitions), store, script }
    }

    /// Builds a consumer with the scripted handler. Failed messages are due after a second, each by itself unless the
    /// test sets another delay.
    pub(crate) fn billing(&self) -> Builder {
        self.consumer(CONSUMER)
    }

    pub(crate) fn consumer(&self, name: &str) -> Builder {
        self.consumer_on(name, self.store.clone())
    }

    /// Builds the same consumer with another handle to the same database.
    pub(crate) fn consumer_on<S: Inbox<Tx = MemoryTx>>(
        &self,
        name: &str,
        store: S,
    ) -> ConsumerBuilder<S, MemorySource> {
        self.assembled(name, store, self.topics())
    }

    /// Builds the same consumer with another handle to the same log.
    pub(crate) fn billing_from<Src: Source>(&self, source: Src) -> ConsumerBuilder<MemoryStore, Src> {
        self.assembled(CONSUMER, self.store.clone(), source)
    }

    pub(crate) fn topics(&self) -> MemorySource {
        self.log.topics([TOPIC])
    }

    fn assembled<S: Inbox<Tx = MemoryTx>, Src: Source>(
        &self,
        name: &str,
        store: S,
        source: Src,
    ) -> ConsumerBuilder<S, Src> {
        Consumer::builder(name, store)
            .from(source)
            .batch(FIFTY)
            .backoff(Backoff::fixed(Duration::from_secs(1)))
            .on_failure(OnFailure::DeadLetter)
            .on_with(self.script.clone(), apply)
    }

    /// Publishes the events `key-1` to `key-last`, with these names as ids.
    pub(crate) async fn push_all(&self, key: &str, last: i64) {
        for n in 1..=last {
            self.push(key, n).await;
        }
    }

    pub(crate) async fn push(&self, key: &str, n: i64) {
        self.publish(placed(key, n)).await;
    }

    pub(crate) async fn publish(&self, message: Message) {
        self.publish_all(&[message]).await;
    }

    /// Publishes messages at once, so a consumer receives them together.
    pub(crate) async fn publish_all(&self, messages: &[Message]) {
        self.log.publish(messages).await.into_iter().for_each(|published| published.expect("published"));
    }

    /// Starts a consumer and applies [`CALM`] messages, which takes its only lane past its first messages.
    pub(crate) async fn start_calm<S: Inbox, Src: Source>(
        &self,
        builder: ConsumerBuilder<S, Src>,
    ) -> Running {
        let consumer = start(builder);
        let before = self.committed(0);
        self.push_all(CALM_KEY, CALM).await;
        until(|| self.committed(0) == before + CALM).await;
        consumer
    }

    /// Returns the ids of committed effects in commit order, without warm-up messages.
    pub(crate) fn applied(&self) -> Vec<String> {
        let text = |message: Message| String::from_utf8(message.payload.to_vec()).expect("an id");
        self.store.outbox().into_iter().map(text).filter(|id| !id.starts_with(CALM_KEY)).collect()
    }

    /// Returns every failed message, oldest first.
    pub(crate) async fn failed_messages(&self) -> Vec<FailedMessage> {
        let ids = self.store.ids(&FailedMessageFilter::default(), u32::MAX).await.expect("failed_messages");
        let mut failed_messages = Vec::with_capacity(ids.len());
        for id in ids {
            failed_messages.push(self.store.show(id).await.expect("it is listed"));
        }
        failed_messages
    }

    /// Applies an operator's action to a failed message.
    pub(crate) async fn act(
        &self,
        act: messagekit::operations::Action,
        failed_message: i64,
    ) -> Result<(), Error> {
        let acted = self.store.act(act, &[failed_message], &Operator::new("ann", "test")).await?;
        acted[0].done(act, failed_message)
    }

    /// Requests one more run of a failed message, as an operator.
    pub(crate) async fn retry(&self, failed_message: i64) -> Result<(), Error> {
        self.act(messagekit::operations::Action::Retry, failed_message).await
    }

    /// Returns the number of failed messages.
    pub(crate) fn failed_messages_now(&self) -> usize {
        let found = self.store.ids(&FailedMessageFilter::default(), u32::MAX).now_or_never();
        found.expect("memory answers at once").expect("failed_messages").len()
    }

    pub(crate) async fn failed_message(&self, id: &str) -> FailedMessage {
        let found = self
            .failed_messages()
            .await
            .into_iter()
            .find(|failed_message| failed_message.received.id.as_str() == id);
        found.unwrap_or_else(|| panic!("no failed message of {id}"))
    }

    /// Returns the result that a claim of the message would have.
    pub(crate) fn marker(&self, message: &str) -> Option<Claim> {
        self.store.marker(CONSUMER, &id(message))
    }

    /// Returns the partition of a message.
    pub(crate) fn partition_of(&self, name: &str) -> i32 {
        let records = self.log.records(TOPIC);
        let record = records.iter().find(|record| record.message.headers.text(headers::ID) == Some(name));
        record.expect("it was published").position.partition
    }

    /// Returns the number of settled records of a partition.
    pub(crate) fn committed(&self, partition: i32) -> i64 {
        self.log.committed(CONSUMER, TOPIC, partition)
    }
}

/// Returns the encoded event `key-n`.
pub(crate) fn placed(key: &str, n: i64) -> Message {
    let mut event = Envelope::new(Placed { order: key.to_owned(), n });
    event.event_id = id(&format!("{key}-{n}"));
    codec::encode(&event, "shop").expect("a plain event")
}

pub(crate) fn id(text: &str) -> MessageId {
    text.parse().expect("a plain id")
}

/// Returns the names `key-1` to `key-last`.
pub(crate) fn names(key: &str, last: i64) -> Vec<String> {
    (1..=last).map(|n| format!("{key}-{n}")).collect()
}

pub(crate) fn sorted(mut ids: Vec<String>) -> Vec<String> {
    ids.sort_unstable();
    ids
}

/// A running consumer.
pub(crate) struct Running {
    pub(crate) stats: Stats,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), Error>>,
}

pub(crate) fn start<S: Inbox, Src: Source>(builder: ConsumerBuilder<S, Src>) -> Running {
    let consumer = builder.build().expect("a valid consumer");
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    Running { stats, task: tokio::spawn(consumer.run(shutdown.clone())), shutdown }
}

impl Running {
    pub(crate) fn read(&self) -> ConsumerStats {
        self.stats.read()
    }

    /// Waits for the end.
    pub(crate) async fn ended(self) -> Result<(), Error> {
        let ended = tokio::time::timeout(PATIENCE, self.task).await;
        ended.expect("the consumer ends").expect("the consumer does not panic")
    }

    /// Stops it as a deployment does.
    pub(crate) async fn stop(self) -> ConsumerStats {
        self.shutdown.request();
        let stats = self.stats.clone();
        self.ended().await.expect("a clean stop");
        stats.read()
    }

    /// Stops it as a crash does.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
        // The runtime drops aborted futures during this time.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until a condition holds; panics after an hour of virtual time.
#[track_caller]
pub(crate) fn until(mut holds: impl FnMut() -> bool) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let started = Instant::now();
        while !holds() {
            assert!(started.elapsed() < PATIENCE, "waited in vain at {caller}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Advances virtual time.
pub(crate) async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

pub(crate) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
