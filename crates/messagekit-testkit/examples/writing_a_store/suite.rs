//! The store passes its part of the suite, and runs a consumer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use messagekit::adapter::{Positions, Publisher};
use messagekit::log::{OrderedReader, Start};
use messagekit::{
    Consumer, ConsumerBuilder, Delivered, HandlerError, Message, OnFailure, OnUnknown, Shutdown,
};
use messagekit_memory::{MemoryLog, MemorySource};
use messagekit_testkit::store::StoreFixture;
use messagekit_testkit::{DEADLINE, eventually};
use tempfile::TempDir;

use crate::store::{SmallStore, SmallTx};

/// A file of its own with a table of effects.
#[derive(Clone)]
struct Rows {
    store: SmallStore,
    _folder: Arc<TempDir>,
}

impl Rows {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let store = SmallStore::open(&folder.path().join("small.db")).expect("the file opens");
        let tables = "CREATE TABLE effects (key TEXT); CREATE TABLE taken (id INTEGER PRIMARY KEY); INSERT INTO taken VALUES (1)";
        store.0.lock().await.connection.execute_batch(tables).expect("tables can be made");
        Self { store, _folder: Arc::new(folder) }
    }
}

/// Ends the transaction by a statement whose error is ignored.
fn end_silently(tx: &SmallTx) {
    let refused = tx.connection().execute("INSERT OR ROLLBACK INTO taken VALUES (1)", []);
    assert!(refused.is_err(), "the row is taken");
}

impl StoreFixture for Rows {
    type Store = SmallStore;

    fn store(&self) -> SmallStore {
        self.store.clone()
    }

    async fn effect(&self, tx: &mut SmallTx, key: &str) {
        tx.connection().execute("INSERT INTO effects VALUES (?1)", [key]).expect("a row can be written");
    }

    async fn effects(&self, key: &str) -> u64 {
        let connection = &self.store.0.lock().await.connection;
        let text = "SELECT count(*) FROM effects WHERE key = ?1";
        let count = connection.query_one(text, [key], |row| row.get::<_, i64>(0));
        count.expect("rows can be counted").try_into().expect("no count is negative")
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    async fn swallow_error(&self, tx: &mut SmallTx) {
        end_silently(tx);
    }
}

messagekit_testkit::store_cases!([markers, positions] Rows::new().await);

/// The runs of the order `slow`, which does not end before its sixth one.
static SLOW_RUNS: AtomicU32 = AtomicU32::new(0);

async fn write_order(tx: &mut SmallTx, order: Message) -> Result<(), HandlerError> {
    if order.payload.starts_with(b"swallowed") {
        end_silently(tx);
    }
    if order.payload.starts_with(b"no price") {
        return Err(HandlerError::permanent("order without a price"));
    }
    if &*order.payload == b"slow" && SLOW_RUNS.fetch_add(1, Ordering::Relaxed) < 6 {
        std::future::pending::<()>().await;
    }
    let order = String::from_utf8_lossy(&order.payload).into_owned();
    tx.connection().execute("INSERT INTO effects VALUES (?1)", [order])?;
    Ok(())
}

fn order(text: &'static str) -> Message {
    Message::new("orders.order", text).with_header("id", text).with_header("eventType", "orders.order.placed")
}

/// Publishes orders with this key.
async fn publish(log: &MemoryLog, key: &str, orders: &[&'static str]) {
    for text in orders {
        let message = order(text).with_key(key.to_owned());
        assert!(log.publish(&[message]).await.iter().all(Result::is_ok));
    }
}

fn billing(rows: &Rows, log: &MemoryLog) -> ConsumerBuilder<SmallStore, MemorySource> {
    let billing = Consumer::builder("billing", rows.store()).from(log.topics(["orders.order"]));
    billing.on_message("orders.order.placed", write_order)
}

async fn delivered(rows: &Rows, text: &'static str) -> Delivered {
    let billing = billing(rows, &MemoryLog::new(1)).build().expect("it is built");
    billing.deliver(order(text)).await.expect("it is answered")
}

#[tokio::test]
async fn duplicates_are_applied_once_and_positions_move() {
    let (rows, log) = (Rows::new().await, MemoryLog::new(1));
    publish(&log, "a", &["o-1", "o-2", "o-1"]).await;
    let done = billing(&rows, &log).build().expect("it is built").run_until_idle().await.expect("it ends");
    assert_eq!((done.handled, done.duplicates), (2, 1));
    assert_eq!((rows.effects("o-1").await, rows.effects("o-2").await), (1, 1));
    assert_eq!(rows.store.next_of("billing", "orders.order").await.expect("it is read")[0].next, 3);
}

/// A handler that continues in a transaction that has ended writes nothing outside of it.
#[tokio::test]
async fn nothing_is_written_behind_the_end_of_a_transaction() {
    let rows = Rows::new().await;
    let waits = delivered(&rows, "swallowed").await;
    assert!(matches!(waits, Delivered::Waits(_)), "{waits:?}");
    assert_eq!(rows.effects("swallowed").await, 0);
}

#[tokio::test]
async fn a_failing_message_waits_under_its_error() {
    let waits = delivered(&Rows::new().await, "no price").await;
    assert!(
        matches!(&waits, Delivered::Waits(failure) if failure.error == "order without a price"),
        "{waits:?}"
    );
}

#[tokio::test]
async fn a_failing_message_stops_its_lane_and_no_other() {
    let (rows, log) = (Rows::new().await, MemoryLog::new(4));
    publish(&log, "a", &["o-1", "no price", "o-2"]).await;
    let blocked = log.records("orders.order")[0].position.partition;
    let other = (0..).map(|number| format!("k-{number}"));
    for key in other.take(20) {
        let order: &'static str = key.clone().leak();
        publish(&log, &key, &[order]).await;
    }
    let (shutdown, consumer) = (Shutdown::new(), billing(&rows, &log).build().expect("it is built"));
    let stats = consumer.stats();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let in_others =
        log.records("orders.order").iter().filter(|record| record.position.partition != blocked).count();
    let in_others = i64::try_from(in_others).expect("a few");
    eventually("the other lanes are applied", DEADLINE, async || {
        let connection = &rows.store.0.lock().await.connection;
        let count = connection.query_one("SELECT count(*) FROM effects", [], |row| row.get::<_, i64>(0));
        count.expect("rows can be counted") > in_others
    })
    .await;
    eventually("the lane is reported", DEADLINE, async || stats.connection().blocked > 0).await;
    assert_eq!((rows.effects("o-1").await, rows.effects("o-2").await), (1, 0));
    let positions = rows.store.next_of("billing", "orders.order").await.expect("it is read");
    let of_lane = positions.iter().find(|position| position.partition == blocked);
    assert_eq!(of_lane.map(|position| position.next), Some(1), "it does not move past the message");
    shutdown.request();
    running.await.expect("it ends").expect("it stops cleanly");
}

/// An aborted task leaves what a crash leaves. A store with attempts would set the message aside after five.
#[tokio::test]
async fn a_message_that_crashes_is_delivered_again_without_limit() {
    let (rows, log) = (Rows::new().await, MemoryLog::new(1));
    publish(&log, "a", &["slow"]).await;
    for crashes in 1..=6 {
        let consumer = billing(&rows, &log).build().expect("it is built");
        let running = tokio::spawn(consumer.run(Shutdown::new()));
        let has_begun = async || SLOW_RUNS.load(Ordering::Relaxed) == crashes;
        eventually("the message runs", DEADLINE, has_begun).await;
        running.abort();
        assert!(running.await.is_err_and(|ended| ended.is_cancelled()));
        assert_eq!(rows.effects("slow").await, 0);
    }
    let done = billing(&rows, &log).build().expect("it is built").run_until_idle().await.expect("it ends");
    assert_eq!((done.handled, rows.effects("slow").await), (1, 1));
}

#[tokio::test]
async fn priming_without_its_duty_is_refused_at_once() {
    let (rows, log) = (Rows::new().await, MemoryLog::new(1));
    let past = OrderedReader::builder().source(Arc::new(log.clone()), "orders.order", Start::Earliest);
    let primed = billing(&rows, &log).build().expect("it is built").prime(past);
    let refused = primed.run(Shutdown::new()).await.expect_err("nothing says how far it is");
    assert!(refused.to_string().contains("keeps no primings"), "{refused}");
}

#[tokio::test]
async fn settings_that_need_an_absent_duty_are_refused() {
    let (rows, log) = (Rows::new().await, MemoryLog::new(1));
    let refusal = |builder: ConsumerBuilder<SmallStore, MemorySource>| {
        builder.build().expect_err("a duty is absent").to_string()
    };
    for policy in [OnFailure::ParkKey, OnFailure::DeadLetter] {
        let refused = refusal(billing(&rows, &log).on_failure(policy));
        assert!(refused.contains("keeps no failed messages"), "{refused}");
    }
    let refused = refusal(billing(&rows, &log).dedup_window(Duration::from_secs(86_400)));
    assert!(refused.contains("leave dedup_window out"), "{refused}");
    let refused = refusal(billing(&rows, &log).on_unknown(OnUnknown::DeadLetter));
    assert!(refused.contains("leave on_unknown out"), "{refused}");
    let built = billing(&rows, &log).build().expect("the lane waits by default");
    assert!(format!("{built:?}").contains("on_failure: Block"), "{built:?}");
}
