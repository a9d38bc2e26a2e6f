//! A database, and a worker that claims its bills. One of them fails at its first attempt.

use std::sync::Arc;
use std::time::Duration;

use messagekit::Store;
use messagekit::log::Log;
use messagekit_postgres::PostgresStore;
use messagekit_tests::Database;
use messagekit_topic_store::{Claimed, ClaimedRecord, RecordClaimer, Which};
use messagekit_topics::Topics;
use serde_json::Value;
use sqlx::AssertSqlSafe;

pub(crate) type Db = PostgresStore;

pub(crate) struct Home {
    database: Database,
    store: PostgresStore,
}

impl Home {
    pub(crate) async fn new() -> Self {
        let database = Database::fresh().await;
        // The role of the tests has the name of our schema, where no table of the user belongs.
        let to_public = format!("ALTER DATABASE {} SET search_path TO public", database.name());
        sqlx::raw_sql(AssertSqlSafe(to_public)).execute(&mut database.connection().await).await.unwrap();
        let home = Self { store: database.store().await, database };
        home.run("CREATE TABLE shipped (id bigserial, number bigint, pence bigint)").await;
        home
    }

    pub(crate) fn topics(&self) -> Topics<Db> {
        Topics::of(self.store.clone())
    }

    pub(crate) fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.store.clone())
    }

    /// Runs a statement in a connection that knows nothing of messagekit.
    pub(crate) async fn run(&self, sql: &str) {
        let mut other = self.database.connection().await;
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut other).await.unwrap();
    }

    /// Makes all records a day older.
    pub(crate) async fn a_day_passes(&self) {
        self.run("UPDATE messagekit.topic_records SET stored_at = stored_at - interval '1 day'").await;
    }

    /// Handles all bills. That of one order fails once, and is claimed again.
    pub(crate) async fn ship_with_a_failed_message(&self, topic: &'static str, order: i64) {
        let worker = RecordClaimer::new(self.store.clone(), "shipping", topic);
        let (mut shipped, mut failed) = (0, 0);
        while shipped < 7 {
            let Claimed::Records(claim) = worker.claim(10).await.unwrap() else {
                panic!("{shipped} are shipped and {failed} failed, and nothing is left")
            };
            let fails = |record: &ClaimedRecord| number(record) == order && record.attempt == 1;
            let (bad, good): (Vec<_>, Vec<_>) = claim.records.iter().partition(|record| fails(record));
            let offsets = |of: &[&ClaimedRecord]| -> Vec<i64> {
                of.iter().map(|record| record.record.position.offset).collect()
            };
            let mut tx = self.store.begin().await.unwrap();
            for record in &good {
                let bill: Value = serde_json::from_slice(&record.record.message.payload).unwrap();
                let insert = sqlx::query("INSERT INTO shipped (number, pence) VALUES ($1, $2)");
                let insert = insert.bind(number(record)).bind(bill["pence"].as_i64());
                insert.execute(&mut *tx).await.unwrap();
            }
            if !good.is_empty() {
                worker.acknowledge_in(&mut tx, &claim, Which::Offsets(&offsets(&good))).await.unwrap();
            }
            self.store.commit(tx).await.unwrap();
            if !bad.is_empty() {
                worker
                    .retry(&claim, Which::Offsets(&offsets(&bad)), Duration::ZERO, "no stock")
                    .await
                    .unwrap();
            }
            (shipped, failed) = (shipped + good.len(), failed + bad.len());
        }
        assert_eq!(failed, 1, "one bill failed, and was retried");
        assert_eq!(worker.claim(10).await.unwrap(), Claimed::Nothing { due: None });
    }

    /// Returns what was shipped, in that order.
    pub(crate) async fn shipped(&self) -> Vec<(i64, i64)> {
        let select = sqlx::query_as("SELECT number, pence FROM shipped ORDER BY id");
        select.fetch_all(self.store.pool()).await.unwrap()
    }
}

fn number(record: &ClaimedRecord) -> i64 {
    let bill: Value = serde_json::from_slice(&record.record.message.payload).unwrap();
    bill["order"].as_i64().unwrap()
}
