//! A business table beside the tables of messagekit, and helpers for tests.

use std::sync::Arc;

use messagekit::adapter::{ClaimRequest, Markers};
use messagekit::{Claim, Event, MessageId, Outbox, Store};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::unique;
use messagekit_tests::Database;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) pence: i64,
}

impl OrderPlaced {
    pub(crate) fn new(order_id: &str) -> Self {
        Self { order_id: order_id.to_owned(), pence: 250 }
    }
}

/// A database with a table of bills, and a store on it.
pub(crate) struct Shop {
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
    pub(crate) outbox: Outbox<PostgresStore>,
    pub(crate) consumer: String,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        run(store.pool(), "CREATE TABLE bills (id text NOT NULL)").await;
        // An insert into this table keeps its commit busy until the test ends its session.
        run(
            store.pool(),
            "CREATE TABLE slow (id text);
             CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(600); RETURN NULL; END $$;
             CREATE CONSTRAINT TRIGGER wait AFTER INSERT ON slow DEFERRABLE INITIALLY DEFERRED
               FOR EACH ROW EXECUTE FUNCTION wait()",
        )
        .await;
        let outbox = Outbox::new(store.clone(), "shop").unwrap();
        Self { database, store, outbox, consumer: unique("billing") }
    }

    /// Begins a transaction that has claimed `id` and billed it.
    pub(crate) async fn bill(&self, store: &PostgresStore, id: &MessageId) -> PgTx {
        let mut tx = store.begin().await.expect("begins");
        assert_eq!(self.claim_in(store, &mut tx, id).await, Claim::Fresh);
        insert_bill(&mut tx, id.as_str()).await;
        tx
    }

    /// Begins a transaction that has billed `id` in a retry: its marker is held already.
    pub(crate) async fn bill_again(&self, id: &MessageId) -> PgTx {
        let mut tx = self.store.begin().await.expect("begins");
        insert_bill(&mut tx, id.as_str()).await;
        tx
    }

    pub(crate) fn request(&self, id: &MessageId) -> ClaimRequest {
        ClaimRequest { id: id.clone(), topic: Arc::from("orders.order"), key: None, generation: 0 }
    }

    pub(crate) async fn claim_in(&self, store: &PostgresStore, tx: &mut PgTx, id: &MessageId) -> Claim {
        store.claim(tx, &self.consumer, &[self.request(id)]).await.expect("claims are answered")[0]
    }

    /// Returns the answer to a claim, and rolls back.
    pub(crate) async fn look(&self, id: &MessageId) -> Claim {
        let mut tx = self.store.begin().await.expect("begins");
        let claim = self.claim_in(&self.store, &mut tx, id).await;
        self.store.rollback(tx).await.expect("rolls back");
        claim
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.expect("counts")
    }

    pub(crate) async fn bills(&self) -> i64 {
        self.count("SELECT count(*) FROM bills").await
    }

    pub(crate) async fn events(&self) -> i64 {
        self.count("SELECT count(*) FROM messagekit.outbox_events").await
    }
}

pub(crate) async fn run(pool: &PgPool, sql: &'static str) {
    sqlx::raw_sql(sql).execute(pool).await.expect("runs");
}

pub(crate) async fn insert_bill(tx: &mut PgTx, id: &str) {
    sqlx::query("INSERT INTO bills VALUES ($1)").bind(id).execute(&mut **tx).await.expect("inserts");
}

/// Returns the server process behind a transaction.
pub(crate) async fn backend(tx: &mut PgTx) -> i32 {
    sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut **tx).await.expect("answers")
}

/// Ends a server process and waits until it is gone.
pub(crate) async fn terminate(pool: &PgPool, backend: i32) {
    let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
        .bind(backend)
        .fetch_one(pool)
        .await
        .expect("answers");
    assert!(ended, "server process {backend} is still there");
}
