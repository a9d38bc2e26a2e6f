//! Consumers whose effects are in PostgreSQL.

use std::future::Future;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::consumer::ConsumerStats;
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageHead, FailedMessageState, FailedMessages,
    Operator,
};
use messagekit::{Backoff, Consumer, ConsumerBuilder, Envelope, Event, HandlerError, Shutdown, Stats, Store};
use messagekit_memory::{MemoryLog, MemorySource};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use tokio::sync::Barrier;
use tokio::task::JoinHandle;

use crate::proxy::Proxy;
use crate::shop::{OrderPlaced, Shop, backend, run, terminate};

/// The order at which a handler misbehaves.
const CULPRIT: &str = "o-5";

/// Returns a log with orders in one partition.
async fn orders(numbers: std::ops::Range<u32>) -> MemoryLog {
    let log = MemoryLog::new(1);
    let orders: Vec<_> = numbers
        .map(|number| {
            codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number}"))), "shop").unwrap()
        })
        .collect();
    for result in log.publish(&orders).await {
        result.unwrap();
    }
    log
}

fn consumer(
    name: &str,
    store: &PostgresStore,
    log: &MemoryLog,
) -> ConsumerBuilder<PostgresStore, MemorySource> {
    Consumer::builder(name, store.clone())
        .from(log.topics([OrderPlaced::TOPIC]))
        .attempts(NonZeroU32::new(2).unwrap())
        .backoff(Backoff::fixed(Duration::from_millis(5)))
}

struct Running {
    stats: Stats,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), messagekit::Error>>,
}

impl Running {
    fn start(consumer: ConsumerBuilder<PostgresStore, MemorySource>) -> Self {
        let consumer = consumer.build().unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        Self { stats, shutdown, running }
    }

    async fn until(&self, what: &str, holds: impl Fn(ConsumerStats) -> bool) {
        eventually(what, DEADLINE, async || {
            assert!(!self.running.is_finished(), "the consumer has ended: {what}");
            holds(self.stats.read())
        })
        .await;
    }

    async fn stop(self) -> ConsumerStats {
        self.shutdown.request();
        self.running.await.unwrap().unwrap();
        self.stats.read()
    }
}

async fn bill(tx: &mut PgTx, order: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO bills VALUES ($1)").bind(order).execute(&mut **tx).await?;
    Ok(())
}

async fn billed(shop: &Shop) -> Vec<String> {
    sqlx::query_scalar("SELECT id FROM bills ORDER BY id").fetch_all(shop.store.pool()).await.unwrap()
}

async fn failed_messages(shop: &Shop) -> Vec<FailedMessageHead> {
    shop.store.list(&FailedMessageFilter::default(), 100).await.unwrap()
}

fn names(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|number| format!("o-{number}")).collect()
}

#[test]
fn handler_that_swallows_an_sql_error_fails_only_its_message() {
    async fn swallow(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        bill(tx, &order.data.order_id).await?;
        if order.data.order_id == CULPRIT {
            sqlx::query("INSERT INTO no_such_table VALUES (1)").execute(&mut **tx).await.unwrap_err();
        }
        Ok(())
    }
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        let running = Running::start(consumer("billing", &shop.store, &log).on(swallow));
        running.until("all are handled but one", |stats| stats.handled == 9 && stats.dead == 1).await;
        running.stop().await;
        assert_eq!(billed(&shop).await, names((0..10).filter(|number| *number != 5)));
        let failed_messages = failed_messages(&shop).await;
        assert_eq!((failed_messages.len(), failed_messages[0].state), (1, FailedMessageState::Dead));
        assert_eq!((failed_messages[0].kind.as_str(), failed_messages[0].attempts), ("transaction", 2));
        assert_eq!(failed_messages[0].key.as_deref(), Some(CULPRIT.as_bytes()));
        assert_eq!(log.committed("billing", OrderPlaced::TOPIC, 0), 10);
    });
}

/// A value that PostgreSQL cannot keep is refused again by every run.
#[test]
fn a_text_that_no_column_can_hold_is_dead_at_once() {
    async fn bill_raw(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        let culprit = order.data.order_id == CULPRIT;
        let text = if culprit { "o-\u{0}5".to_owned() } else { order.data.order_id };
        Ok(bill(tx, &text).await?)
    }
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        let running = Running::start(consumer("billing", &shop.store, &log).on(bill_raw));
        running.until("all are handled but one", |stats| stats.handled == 9 && stats.dead == 1).await;
        running.stop().await;
        assert_eq!(billed(&shop).await, names((0..10).filter(|number| *number != 5)));
        let kept = failed_messages(&shop).await;
        assert_eq!((kept.len(), kept[0].state), (1, FailedMessageState::Dead));
        assert_eq!((kept[0].kind.as_str(), kept[0].attempts), ("permanent", 1), "{}", kept[0].error);
        assert!(kept[0].error.contains("invalid byte sequence"), "{}", kept[0].error);
    });
}

/// Whether a division by zero passes is known to the program alone.
#[test]
fn a_data_exception_has_the_class_that_the_program_gives_it() {
    async fn divide(tx: &mut PgTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        sqlx::query("SELECT 1 / (SELECT count(*) FROM bills)").execute(&mut **tx).await?;
        Ok(())
    }
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..1).await);
        let consumer = consumer("billing", &shop.store, &log).on(divide);
        let running = Running::start(consumer.classify_errors(HandlerError::retryable));
        running.until("it is dead after its attempts", |stats| stats.dead == 1).await;
        running.stop().await;
        let kept = failed_messages(&shop).await;
        assert_eq!((kept[0].kind.as_str(), kept[0].attempts), ("failed", 2), "{}", kept[0].error);
    });
}

#[test]
fn late_duplicate_of_a_failed_message_is_not_applied() {
    struct Books {
        are_open: AtomicBool,
    }
    async fn bill_if_open(
        books: &Books,
        tx: &mut PgTx,
        order: Envelope<OrderPlaced>,
    ) -> Result<(), HandlerError> {
        if order.data.order_id == CULPRIT && !books.are_open.load(Ordering::SeqCst) {
            return Err(HandlerError::permanent("the books are closed"));
        }
        Ok(bill(tx, &order.data.order_id).await?)
    }
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        let books = Arc::new(Books { are_open: AtomicBool::new(false) });
        let billing = consumer("billing", &shop.store, &log).on_with(Arc::clone(&books), bill_if_open);
        let running = Running::start(billing);
        running.until("one is dead", |stats| stats.handled == 9 && stats.dead == 1).await;
        books.are_open.store(true, Ordering::SeqCst);
        log.redeliver("billing");
        running.until("all came twice", |stats| stats.duplicates == 10).await;
        assert_eq!(billed(&shop).await, names((0..10).filter(|number| *number != 5)));

        // Only an operator can retry it.
        let failed_message = failed_messages(&shop).await.remove(0);
        assert_eq!(failed_message.state, FailedMessageState::Dead);
        let acted =
            shop.store.act(Action::Retry, &[failed_message.id], &Operator::new("ann", "cli")).await.unwrap();
        assert_eq!(acted, [ActionResult::Done]);
        running.until("it is handled", |stats| stats.handled == 10).await;
        running.stop().await;
        assert_eq!(billed(&shop).await, names(0..10));
        assert_eq!(failed_messages(&shop).await[0].state, FailedMessageState::Resolved);
    });
}

#[test]
fn constraint_that_a_handler_violates_is_its_own_failure() {
    async fn bill_once(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        Ok(bill(tx, &order.data.order_id).await?)
    }
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        run(shop.store.pool(), "CREATE UNIQUE INDEX ON bills (id); INSERT INTO bills VALUES ('o-5')").await;
        let running = Running::start(consumer("billing", &shop.store, &log).on(bill_once));
        running.until("all are handled but one", |stats| stats.handled == 9 && stats.dead == 1).await;
        running.stop().await;
        let failed_messages = failed_messages(&shop).await;
        assert_eq!((failed_messages.len(), failed_messages[0].kind.as_str()), (1, "failed"));
        assert!(failed_messages[0].error.contains("bills_id_idx"), "{}", failed_messages[0].error);
    });
}

/// Two handlers that lock the same two rows in opposite order, the first time at the same moment.
struct Crossing {
    met: Barrier,
    runs: AtomicU32,
    later_attempts: AtomicU32,
}

impl Crossing {
    async fn cross(
        &self,
        tx: &mut PgTx,
        order: &Envelope<OrderPlaced>,
        rows: [i32; 2],
    ) -> Result<(), HandlerError> {
        let is_first = self.runs.fetch_add(1, Ordering::SeqCst) < 2;
        if order.delivery().is_none_or(|delivery| delivery.attempt != 1) {
            self.later_attempts.fetch_add(1, Ordering::SeqCst);
        }
        for row in rows {
            let update = sqlx::query("UPDATE accounts SET orders = orders + 1 WHERE id = $1").bind(row);
            update.execute(&mut **tx).await?;
            if is_first && row == rows[0] {
                self.met.wait().await;
            }
        }
        Ok(())
    }

    async fn forth(&self, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        self.cross(tx, &order, [1, 2]).await
    }

    async fn back(&self, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        self.cross(tx, &order, [2, 1]).await
    }
}

#[test]
fn deadlock_between_two_handlers_burns_no_attempt() {
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..1).await);
        let accounts = "CREATE TABLE accounts (id int PRIMARY KEY, orders int); INSERT INTO accounts VALUES (1, 0), (2, 0)";
        run(shop.store.pool(), accounts).await;
        let crossing = Arc::new(Crossing {
            met: Barrier::new(2),
            runs: AtomicU32::new(0),
            later_attempts: AtomicU32::new(0),
        });
        let forth = consumer("billing", &shop.store, &log).on_with(Arc::clone(&crossing), Crossing::forth);
        let back = consumer("shipping", &shop.store, &log).on_with(Arc::clone(&crossing), Crossing::back);
        let running = [Running::start(forth), Running::start(back)];
        let mut conflicts = 0;
        for running in running {
            running.until("it is handled", |stats| stats.handled == 1).await;
            let stats = running.stop().await;
            assert_eq!((stats.set_aside, stats.dead), (0, 0));
            conflicts += stats.rolled_back;
        }
        assert_eq!((crossing.runs.load(Ordering::SeqCst), conflicts), (3, 1), "one of the two ran again");
        assert_eq!(crossing.later_attempts.load(Ordering::SeqCst), 0, "and nothing counted it");
        assert_eq!(failed_messages(&shop).await, []);
        assert_eq!(shop.count("SELECT sum(orders) FROM accounts").await, 4);
    });
}

/// A handler that calls a function on its connection when the failing order runs for the first time.
struct Trouble<F> {
    runs: AtomicU32,
    cause: F,
}

impl<F, Fut> Trouble<F>
where
    F: Fn(i32) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    fn new(cause: F) -> Arc<Self> {
        Arc::new(Self { runs: AtomicU32::new(0), cause })
    }

    async fn handle(&self, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        bill(tx, &order.data.order_id).await?;
        if order.data.order_id == CULPRIT && self.runs.fetch_add(1, Ordering::SeqCst) == 0 {
            (self.cause)(backend(tx).await).await;
        }
        Ok(())
    }
}

#[test]
fn connection_ended_under_a_handler_costs_no_message_an_attempt() {
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        let other = shop.database.store().await;
        let trouble = Trouble::new(move |backend| {
            let other = other.clone();
            async move { terminate(other.pool(), backend).await }
        });
        let running =
            Running::start(consumer("billing", &shop.store, &log).on_with(trouble, Trouble::handle));
        running.until("all are handled", |stats| stats.handled == 10).await;
        let stats = running.stop().await;
        assert_eq!((stats.set_aside, stats.dead), (0, 0));
        assert_eq!((billed(&shop).await, failed_messages(&shop).await), (names(0..10), vec![]));
    });
}

#[test]
fn commit_whose_answer_is_lost_applies_its_batch_once() {
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..10).await);
        let proxy = Arc::new(Proxy::to(&shop.database).await);
        let store = PostgresStore::connect(&proxy.url(&shop.database)).await.unwrap();
        let trouble = Trouble::new(move |_| {
            proxy.cut_next_commit();
            std::future::ready(())
        });
        let running = Running::start(consumer("billing", &store, &log).on_with(trouble, Trouble::handle));
        running.until("all came back", |stats| stats.handled + stats.duplicates == 10).await;
        let stats = running.stop().await;
        assert!(stats.duplicates >= 1, "the marker said that the culprit's batch was kept: {stats:?}");
        assert_eq!((billed(&shop).await, failed_messages(&shop).await), (names(0..10), vec![]));
    });
}

/// Handles an order with a statement that would run for ten minutes.
async fn sleep(tx: &mut PgTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    sqlx::query("SELECT pg_sleep(600)").execute(&mut **tx).await?;
    Ok(())
}

/// Returns how many statements of the shop's database sleep on the server.
async fn asleep(shop: &Shop) -> i64 {
    let count = "SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND state = 'active' AND query = 'SELECT pg_sleep(600)'";
    sqlx::query_scalar(count).fetch_one(shop.store.pool()).await.unwrap()
}

#[test]
fn a_handler_deadline_ends_its_statement_on_the_server_too() {
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..1).await);
        // No other limit ends it: a statement of these connections may take an hour.
        let hour = PostgresStore::options().statement_timeout(Duration::from_secs(3_600));
        let store = hour.connect(shop.database.url()).await.unwrap();
        let consumer = consumer("billing", &store, &log).deadline(Duration::from_secs(1)).on(sleep);
        let running = Running::start(consumer.backoff(Backoff::fixed(Duration::from_secs(3_600))));
        running.until("it is set aside", |stats| stats.set_aside == 1).await;
        eventually("nothing sleeps", DEADLINE, async || asleep(&shop).await == 0).await;
        let failed_message = &failed_messages(&shop).await[0];
        assert_eq!((&*failed_message.kind, failed_message.attempts), ("too_slow", 1));
        assert!(failed_message.error.contains("its deadline of 1s"), "{}", failed_message.error);
        running.stop().await;
    });
}

#[test]
fn statement_of_a_dropped_consumer_also_ends_on_the_server() {
    block_on(async {
        let (shop, log) = (Shop::open().await, orders(0..1).await);
        let hour = PostgresStore::options().statement_timeout(Duration::from_secs(3_600));
        let store = hour.connect(shop.database.url()).await.unwrap();
        let running =
            Running::start(consumer("billing", &store, &log).deadline(Duration::from_secs(5)).on(sleep));
        eventually("it sleeps", DEADLINE, async || asleep(&shop).await == 1).await;
        running.running.abort();
        eventually("nothing sleeps", DEADLINE, async || asleep(&shop).await == 0).await;
        assert!(billed(&shop).await.is_empty());
    });
}

#[test]
fn a_consumers_statement_limit_ends_with_its_transaction() {
    block_on(async {
        let shop = Shop::open().await;
        let shown = async |store: &PostgresStore| -> String {
            let mut tx = store.begin().await.unwrap();
            let shown = sqlx::query_scalar("SHOW statement_timeout").fetch_one(&mut *tx).await.unwrap();
            store.rollback(tx).await.unwrap();
            shown
        };
        let one = PostgresStore::options().max_connections(1).connect(shop.database.url()).await.unwrap();
        assert_eq!(shown(&one.limited(Duration::from_secs(7))).await, "7s");
        assert_eq!(shown(&one).await, "2min", "the next transaction of the same connection");
        assert_eq!(shown(&one.limited(Duration::from_secs(3_600))).await, "2min");
    });
}
