//! A file, and a consumer of its bills. One of them becomes a failed message, which an operator retries.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use messagekit::log::Log;
use messagekit::operations::{Action, FailedMessageFilter, FailedMessageState, FailedMessages, Operator};
use messagekit::{Consumer, HandlerError, Message, OnFailure};
use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_topics::Topics;
use serde_json::Value;

use crate::console::{Console, Running};
use crate::time::SOON;

pub(crate) type Db = SqliteStore;

/// The order whose bill fails; none when it is repaired. One test has this consumer.
static FAILS: AtomicI64 = AtomicI64::new(-1);

pub(crate) struct Home(Console);

impl Home {
    pub(crate) async fn new() -> Self {
        let home = Self(Console::new().await);
        home.run("CREATE TABLE shipped (id INTEGER PRIMARY KEY AUTOINCREMENT, number bigint, pence bigint)")
            .await;
        home
    }

    pub(crate) fn topics(&self) -> Topics<Db> {
        Topics::of(self.0.store.clone())
    }

    pub(crate) fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.0.store.clone())
    }

    /// Runs a statement in a connection that knows nothing of messagekit.
    pub(crate) async fn run(&self, sql: &str) {
        let (path, sql) = (self.0.path(), sql.to_owned());
        let work = move || {
            let other = Connection::open(path).unwrap();
            other.busy_timeout(SOON).unwrap();
            other.execute_batch(&sql).unwrap();
        };
        tokio::task::spawn_blocking(work).await.unwrap();
    }

    /// Makes all records a day older.
    pub(crate) async fn a_day_passes(&self) {
        self.0.change("UPDATE messagekit_topic_records SET created_at = created_at - 86400000000").await;
    }

    /// Handles all bills. That of one order fails, is dead, and is retried by an operator once the handler is repaired.
    pub(crate) async fn ship_with_a_failed_message(&self, topic: &'static str, order: i64) {
        FAILS.store(order, Ordering::SeqCst);
        let store = &self.0.store;
        let consumer = Consumer::builder("shipping", store.clone()).from(store.topics([topic]));
        let running = Running::start(consumer.fallback(ship).on_failure(OnFailure::DeadLetter));
        running.until("all but one are shipped", |stats| (stats.handled, stats.dead) == (6, 1)).await;
        let failed = self.0.failed_messages().await;
        let [failed] = &failed[..] else { panic!("one failed message: {failed:?}") };
        assert_eq!((failed.state, &*failed.error), (FailedMessageState::Dead, "no stock"));

        FAILS.store(-1, Ordering::SeqCst);
        let retried = store.act(Action::Retry, &[failed.id], &Operator::new("ann", "test")).await.unwrap();
        retried[0].done(Action::Retry, failed.id).unwrap();
        running.until("it is shipped, too", |stats| stats.handled == 7).await;
        running.stop().await;
        let ids = store.ids(&FailedMessageFilter::default(), 10).await.unwrap();
        assert_eq!((ids.len(), store.show(ids[0]).await.unwrap().state), (1, FailedMessageState::Resolved));
    }

    /// Returns what was shipped, in that order.
    pub(crate) async fn shipped(&self) -> Vec<(i64, i64)> {
        let select = "SELECT number, pence FROM shipped ORDER BY id";
        self.0
            .store
            .read(move |c| c.query_all(select, (), |row| Ok((row.get(0)?, row.get(1)?))))
            .await
            .unwrap()
    }
}

async fn ship(tx: &mut SqliteTx, message: Message) -> Result<(), HandlerError> {
    let bill: Value = serde_json::from_slice(&message.payload).map_err(HandlerError::permanent)?;
    let (number, pence) = (bill["order"].as_i64(), bill["pence"].as_i64());
    // Its effect is undone with the transaction.
    let insert = "INSERT INTO shipped (number, pence) VALUES (?1, ?2)";
    tx.call(move |c| c.execute(insert, (number, pence))).await?;
    if number == Some(FAILS.load(Ordering::SeqCst)) {
        return Err(HandlerError::permanent("no stock"));
    }
    Ok(())
}
