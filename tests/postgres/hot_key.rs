//! One key with many arriving messages: blocked by one failure, it becomes free again while they keep arriving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use messagekit::adapter::{BatchLimit, Publisher, codec};
use messagekit::consumer::ConsumerStats;
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Consumer, Envelope, Event, HandlerError, OnFailure, ParkingLimits, Shutdown, Stats};
use messagekit_memory::MemoryLog;
use messagekit_postgres::PgTx;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use crate::shop::{Shop, run};

const CONSUMER: &str = "noting";
/// Limits above everything that a test sends.
const ENDLESS: ParkingLimits = ParkingLimits { per_key: 1_000_000, in_all: 1_000_000 };

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.changed", key = "order_id")]
struct OrderChanged {
    order_id: String,
    change: i64,
}

/// Inserts each change; the first one fails until it is repaired.
async fn note(
    repaired: &AtomicBool,
    tx: &mut PgTx,
    event: Envelope<OrderChanged>,
) -> Result<(), HandlerError> {
    let OrderChanged { order_id, change } = event.data;
    if change == 1 && !repaired.load(Ordering::SeqCst) {
        return Err(HandlerError::permanent("the order has no customer"));
    }
    let insert = sqlx::query("INSERT INTO changes (id, change) VALUES ($1, $2)").bind(&order_id).bind(change);
    insert.execute(&mut **tx).await?;
    Ok(())
}

/// The rate at which messages arrive.
#[derive(Clone, Copy)]
enum Pace {
    /// This many in each hundredth of a second.
    Each(i64),
    HalfOfWhatIsApplied,
}

/// A consumer of one key, and its messages.
struct HotKey {
    shop: Shop,
    log: MemoryLog,
    repaired: Arc<AtomicBool>,
    sent: Arc<AtomicI64>,
    stats: Stats,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), messagekit::Error>>,
}

impl HotKey {
    async fn start(batch: BatchLimit, room: ParkingLimits) -> Self {
        let (shop, log) = (Shop::open().await, MemoryLog::new(1));
        let table = "CREATE TABLE changes (id text, change bigint, at bigint GENERATED ALWAYS AS IDENTITY)";
        run(shop.store.pool(), table).await;
        let repaired = Arc::new(AtomicBool::new(false));
        let consumer = Consumer::builder(CONSUMER, shop.store.clone())
            .from(log.topics([OrderChanged::TOPIC]))
            .on_failure(OnFailure::ParkKey)
            .parking_limits(room)
            .batch(batch)
            .on_with(Arc::clone(&repaired), note)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        Self { shop, log, repaired, sent: Arc::default(), stats, shutdown, running }
    }

    async fn send(log: &MemoryLog, sent: &AtomicI64, changes: i64) {
        let first = sent.load(Ordering::SeqCst) + 1;
        let event = |change| OrderChanged { order_id: "a".to_owned(), change };
        let events = (first..first + changes)
            .map(|change| codec::encode(&Envelope::new(event(change)), "shop").unwrap())
            .collect::<Vec<_>>();
        log.publish(&events).await.into_iter().for_each(|published| published.unwrap());
        sent.fetch_add(changes, Ordering::SeqCst);
    }

    /// Sends messages until it is stopped: a fixed number in each hundredth of a second, or half as many as are applied.
    fn stream(&self, pace: Pace, stop: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (log, sent, stop) = (self.log.clone(), Arc::clone(&self.sent), Arc::clone(stop));
        let stats = self.stats.clone();
        tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(10));
            let before = sent.load(Ordering::SeqCst);
            while !stop.load(Ordering::SeqCst) {
                ticks.tick().await;
                let changes = match pace {
                    Pace::Each(changes) => changes,
                    Pace::HalfOfWhatIsApplied => {
                        let applied = i64::try_from(stats.read().handled).unwrap();
                        (before + applied / 2 - sent.load(Ordering::SeqCst)).max(0)
                    }
                };
                if changes > 0 {
                    Self::send(&log, &sent, changes).await;
                }
            }
        })
    }

    /// Repairs the cause of the first failure, and requests a retry.
    async fn repair(&self) {
        self.repaired.store(true, Ordering::SeqCst);
        let dead =
            FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() };
        let head = self.shop.store.list(&dead, 1).await.unwrap()[0].id;
        let acted = self.shop.store.act(Action::Retry, &[head], &Operator::new("ann", "test")).await.unwrap();
        assert_eq!(acted, [ActionResult::Done]);
    }

    /// Returns the number of parked messages.
    async fn parked(&self) -> i64 {
        let count =
            "SELECT coalesce(sum(count), 0)::bigint FROM messagekit.blocked_keys WHERE consumer <> ''";
        sqlx::query_scalar(count).fetch_one(self.shop.store.pool()).await.unwrap()
    }

    /// Returns the number of transactions once all that were committed are counted: each message was parked in one.
    async fn rested(&self) -> u64 {
        let sent = u64::try_from(self.sent.load(Ordering::SeqCst)).unwrap();
        let parked = |stats: &ConsumerStats| stats.parked + stats.set_aside + stats.dead == sent;
        let all = tokio::time::timeout(DEADLINE, self.stats.wait_until(parked)).await;
        all.expect("all are counted").unwrap().batches
    }

    async fn free(&self) {
        eventually("the key is free", DEADLINE, async || self.parked().await == 0).await;
    }

    async fn end(self) {
        let sent = self.sent.load(Ordering::SeqCst);
        eventually("everything is settled", DEADLINE, async || {
            self.log.committed(CONSUMER, OrderChanged::TOPIC, 0) == sent
        })
        .await;
        self.free().await;
        self.shutdown.request();
        self.running.await.unwrap().unwrap();
        let changes = "SELECT change FROM changes ORDER BY at";
        let changes: Vec<i64> = sqlx::query_scalar(changes).fetch_all(self.shop.store.pool()).await.unwrap();
        assert!(changes.iter().copied().eq(1..=sent), "each once and in order: {} of {sent}", changes.len());
    }
}

/// Blocks the key with `messages` messages, repairs it, and returns how long the drain takes and in how many transactions.
async fn drains(batch: BatchLimit, messages: i64) -> (Duration, u64) {
    let key = HotKey::start(batch, ENDLESS).await;
    HotKey::send(&key.log, &key.sent, messages).await;
    eventually("all are parked", DEADLINE, async || key.parked().await == messages).await;
    let (stats, before) = (key.stats.clone(), key.rested().await);
    key.repair().await;
    let began = Instant::now();
    key.free().await;
    let took = began.elapsed();
    println!(
        "{messages} messages of one key in {took:?}: {:.0} per second",
        messages as f64 / took.as_secs_f64()
    );
    key.end().await;
    // A transaction is counted a moment after its commit, and the consumer has ended now.
    (took, stats.read().batches - before)
}

#[test]
fn a_thousand_blocked_messages_of_a_key_share_transactions() {
    block_on(async {
        let (_, one_by_one) = drains(BatchLimit::ONE, 1_000).await;
        assert_eq!(one_by_one, 1_000, "nothing is shared where nothing may be");
        let unhurried = BatchLimit { time: Duration::from_secs(10), ..BatchLimit::DEFAULT };
        let (_, batches) = drains(unhurried, 1_000).await;
        assert!(batches <= 20, "1,000 messages, 200 at once: {batches}");
    });
}

/// Blocks a key for ten seconds while 1,000 messages a second arrive, or with a fixed number at once if the speed of
/// the machine sets the rate. It then repairs the key, and prints how long it takes until the key is free and until no
/// message waits.
async fn frees_a_hot_key(room: ParkingLimits, full: bool) {
    let key = HotKey::start(BatchLimit::DEFAULT, room).await;
    let stop = Arc::new(AtomicBool::new(false));
    let parks = i64::from(room.per_key.min(500));
    let pace = if full { Pace::Each(10) } else { Pace::HalfOfWhatIsApplied };
    if !full {
        HotKey::send(&key.log, &key.sent, 500).await;
    }
    let stream = key.stream(pace, &stop);
    if full {
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    eventually("the key is blocked", DEADLINE, async || key.parked().await >= parks).await;
    let (parked, sent) = (key.parked().await, key.sent.load(Ordering::SeqCst));
    key.repair().await;
    let began = Instant::now();
    key.free().await;
    let free = began.elapsed();
    eventually("nothing waits before the key", DEADLINE, async || {
        key.sent.load(Ordering::SeqCst) - key.log.committed(CONSUMER, OrderChanged::TOPIC, 0) < 200
    })
    .await;
    let arrived = key.sent.load(Ordering::SeqCst) - sent;
    let idle = began.elapsed();
    println!(
        "{parked} parked of {sent}: free after {free:?}, caught up after {idle:?}, {arrived} arrived meanwhile"
    );
    assert!(arrived > 0, "messages went on arriving");
    stop.store(true, Ordering::SeqCst);
    stream.await.unwrap();
    key.end().await;
}

#[test]
fn hot_key_drains_soon_after_its_repair_while_messages_arrive() {
    block_on(async {
        let full = messagekit_tests::is_full();
        for room in [ENDLESS, ParkingLimits::default(), ParkingLimits { per_key: 50, in_all: 1_000 }] {
            frees_a_hot_key(room, full).await;
        }
    });
}
