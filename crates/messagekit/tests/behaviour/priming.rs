//! A consumer that handles the past of its topics in the order of time before it runs.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{Identity, Priming, Primings};
use messagekit::consumer::{PrimedConsumer, PrimingProgress};
use messagekit::log::{OrderedReader, OrderedReaderBuilder, Start};
use messagekit::{
    Consumer, Envelope, Error, ErrorKind, Event, HandlerError, MessageId, OnFailure, Outbox, Shutdown, Stats,
    Store,
};
use messagekit_memory::{MemoryLog, MemorySource, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

pub(super) const NAME: &str = "projection";

#[derive(Serialize, Deserialize, Event)]
#[event(type = "shop.order.noted", key = "key")]
pub(super) struct OrderNoted {
    key: String,
    n: i64,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "shop.payment.noted", key = "key")]
pub(super) struct PaymentNoted {
    key: String,
    n: i64,
}

/// The numbers of the events whose handler ran, in that order.
#[derive(Default)]
struct Seen(Mutex<Vec<i64>>);

impl Seen {
    fn note(&self, tx: &mut MemoryTx, n: i64) -> Result<(), HandlerError> {
        self.0.lock().expect("no handler panics").push(n);
        if n == 13 {
            return Err(HandlerError::permanent("unlucky"));
        }
        tx.add(format!("n-{n}"), 1);
        Ok(())
    }
}

async fn order(seen: &Seen, tx: &mut MemoryTx, event: Envelope<OrderNoted>) -> Result<(), HandlerError> {
    seen.note(tx, event.data.n)
}

async fn payment(seen: &Seen, tx: &mut MemoryTx, event: Envelope<PaymentNoted>) -> Result<(), HandlerError> {
    seen.note(tx, event.data.n)
}

/// A database with a log of two topics.
pub(super) struct Shop {
    log: MemoryLog,
    pub(super) store: MemoryStore,
    seen: Arc<Seen>,
}

type Projection = Consumer<MemoryStore, MemorySource>;

impl Shop {
    pub(super) async fn with(past: i64) -> Self {
        let log = MemoryLog::new(3);
        let store = MemoryStore::with_log(&log);
        let this = Self { log, store, seen: Arc::default() };
        this.append(0..past).await;
        this
    }

    /// Appends events to both topics in turns, each at a later time than the one before.
    pub(super) async fn append(&self, numbers: Range<i64>) {
        let outbox = Outbox::new(self.store.clone(), "shop").expect("a name");
        for n in numbers {
            let key = format!("k-{}", n % 5);
            let mut tx = self.store.begin().await.expect("begins");
            if n % 2 == 0 {
                outbox.add(&mut tx, OrderNoted { key, n }).await.expect("adds");
            } else {
                outbox.add(&mut tx, PaymentNoted { key, n }).await.expect("adds");
            }
            outbox.commit(tx).await.expect("commits");
            let written = Timestamp::now();
            while Timestamp::now() == written {
                tokio::task::yield_now().await;
            }
        }
    }

    pub(super) fn reader(&self, start: &Start) -> OrderedReaderBuilder {
        let log = Arc::new(self.store.clone());
        let topics = [OrderNoted::TOPIC, PaymentNoted::TOPIC];
        let builder = OrderedReader::builder().batch_size(7);
        topics.iter().fold(builder, |builder, topic| builder.source(log.clone(), *topic, start.clone()))
    }

    pub(super) fn consumer(&self) -> Projection {
        let builder = Consumer::builder(NAME, self.store.clone()).from(self.log.clone());
        let builder = builder.on_failure(OnFailure::DeadLetter).dedup_window(Duration::from_secs(3_600));
        builder
            .on_with(self.seen.clone(), order)
            .on_with(self.seen.clone(), payment)
            .build()
            .expect("it is complete")
    }

    pub(super) fn primed(&self) -> PrimedConsumer<MemoryStore, MemorySource> {
        self.consumer().prime(self.reader(&Start::Earliest))
    }

    pub(super) fn seen(&self) -> Vec<i64> {
        self.seen.0.lock().expect("no handler panics").clone()
    }

    /// The ids of all events.
    pub(super) fn ids(&self) -> Vec<MessageId> {
        let records =
            [OrderNoted::TOPIC, PaymentNoted::TOPIC].into_iter().flat_map(|topic| self.log.records(topic));
        records.map(|record| Identity::of(&record.message).expect("it has an id").0).collect()
    }

    /// Lanes of a live consumer have no common order.
    pub(super) fn sorted(&self) -> Vec<i64> {
        let mut seen = self.seen();
        seen.sort_unstable();
        seen
    }

    /// How often the effect of an event was committed.
    pub(super) fn effects(&self, numbers: Range<i64>) -> Vec<i64> {
        numbers.map(|n| self.store.get(&format!("n-{n}"))).collect()
    }

    pub(super) async fn priming(&self) -> Option<Priming> {
        self.store.priming(NAME).await.expect("the store answers")
    }

    pub(super) async fn is_finished(&self) -> bool {
        self.priming().await.is_some_and(|priming| priming.is_finished)
    }
}

pub(super) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited)
        .await
        .unwrap_or_else(|_| panic!("not seen: {what}"));
}

/// A consumer that runs until it is stopped.
pub(super) struct Running {
    task: JoinHandle<Result<(), Error>>,
    shutdown: Shutdown,
}

impl Running {
    pub(super) fn start(primed: PrimedConsumer<MemoryStore, MemorySource>) -> Self {
        let shutdown = Shutdown::new();
        Self { task: tokio::spawn(primed.run(shutdown.clone())), shutdown }
    }

    pub(super) async fn stop(self) {
        self.shutdown.request();
        self.task.await.expect("it does not panic").expect("it ends well");
    }
}

async fn refused(primed: PrimedConsumer<MemoryStore, MemorySource>) -> Error {
    primed.run(std::future::pending()).await.expect_err("it is refused")
}

#[tokio::test]
async fn the_past_comes_by_its_time_and_then_what_is_new() {
    let shop = Shop::with(13).await;
    let (consumer, progress) = (shop.consumer(), Arc::new(Mutex::new(Vec::new())));
    let (stats, shown): (Stats, _) = (consumer.stats(), progress.clone());
    let primed = consumer.prime(shop.reader(&Start::Earliest));
    let running =
        Running::start(primed.on_progress(move |at: &PrimingProgress| shown.lock().unwrap().push(*at)));
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    assert_eq!(shop.seen(), (0..13).collect::<Vec<_>>());
    shop.append(14..20).await;
    eventually("new events are handled", async || shop.effects(14..20) == [1; 6]).await;
    running.stop().await;
    assert_eq!(shop.effects(0..13), [1; 13]);
    assert_eq!((stats.read().handled, stats.read().duplicates), (19, 0), "no gap and no repeat");
    let progress = progress.lock().unwrap();
    let last = progress.last().expect("progress was shown");
    assert_eq!((last.done, last.total, last.left()), (13, 13, Some(Duration::ZERO)));
}

#[tokio::test]
async fn a_finished_priming_is_not_begun_again() {
    let shop = Shop::with(9).await;
    let running = Running::start(shop.primed());
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    running.stop().await;
    shop.append(9..11).await;
    let running = Running::start(shop.primed());
    eventually("what came meanwhile is handled", async || shop.effects(9..11) == [1; 2]).await;
    running.stop().await;
    assert_eq!(shop.sorted(), (0..11).collect::<Vec<_>>(), "no handler ran twice");
}

#[tokio::test]
async fn a_consumer_with_progress_is_primed_only_by_force() {
    let shop = Shop::with(6).await;
    let shutdown = Shutdown::new();
    let consumer = tokio::spawn(shop.consumer().run(shutdown.clone()));
    eventually("it has handled all", async || shop.effects(0..6) == [1; 6]).await;
    shutdown.request();
    consumer.await.unwrap().unwrap();
    let error = refused(shop.primed()).await;
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("force the priming"), "{error}");
    assert_eq!(shop.priming().await, None);
    let running = Running::start(shop.primed().force());
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    running.stop().await;
    assert_eq!(shop.effects(0..6), [1; 6], "markers tell what was handled");
}

#[tokio::test]
async fn a_record_that_fails_becomes_a_failed_message() {
    let shop = Shop::with(20).await;
    let consumer = shop.consumer();
    let stats = consumer.stats();
    let running = Running::start(consumer.prime(shop.reader(&Start::Earliest)));
    eventually("the consumer is primed", async || shop.is_finished().await).await;
    running.stop().await;
    assert_eq!((stats.read().dead, stats.read().handled), (1, 19));
}

#[tokio::test]
async fn topics_that_are_missing_end_the_priming() {
    let shop = Shop::with(0).await;
    let error = refused(shop.primed()).await;
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(shop.priming().await, None);
}
