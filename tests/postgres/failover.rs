//! A failover: for some time the server only reads, and sessions that begin then only read for ever.

use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use messagekit::adapter::OutboxRows;
use messagekit::operations::OutboxHealth;
use messagekit::{Error, ErrorKind, Message, Store, headers};
use messagekit_postgres::{PostgresStore, migrations};
use messagekit_testkit::{block_on, eventually, unique};
use messagekit_tests::{Database, Server};
use messagekit_topics::Topics;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::proxy::Proxy;

/// How soon all works again.
const RECOVERY: Duration = Duration::from_secs(10);
/// As many as the pool has sessions.
const SESSIONS: usize = 10;

/// Fences a database, and ends its sessions.
async fn fence(database: &Database) {
    let name = database.name();
    let mut connection = database.connection().await;
    let fence = format!(
        "ALTER DATABASE {name} SET default_transaction_read_only = on;
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    );
    sqlx::raw_sql(AssertSqlSafe(fence)).execute(&mut connection).await.unwrap();
}

/// Lets new sessions write. Those that are open only read, as long as they live.
async fn release(database: &Database) {
    let mut connection = database.connection().await;
    sqlx::raw_sql("SET default_transaction_read_only = off").execute(&mut connection).await.unwrap();
    let release = format!("ALTER DATABASE {} RESET default_transaction_read_only", database.name());
    sqlx::raw_sql(AssertSqlSafe(release)).execute(&mut connection).await.unwrap();
}

async fn write(store: &PostgresStore) -> Result<(), Error> {
    let message = Message::new("shop.order", "{}").with_header(headers::ID, unique("n"));
    let mut tx = store.begin().await?;
    store.write(&mut tx, &[message]).await?;
    store.commit(tx).await
}

#[test]
fn sessions_that_only_read_are_replaced_after_a_failover() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let topics = Topics::of(store.clone());
        let orders = topics.untyped("shop.orders").open().await.unwrap();
        let mut followed = orders.follow();
        orders.append(&json!({ "n": 1 })).await.unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap().data, json!({ "n": 1 }));

        fence(&database).await;
        eventually("the sessions are new, and only read", RECOVERY, async || {
            let refusals = join_all((0..SESSIONS).map(|_| write(&store))).await;
            refusals.into_iter().all(|refused| {
                let refused = refused.expect_err("the server only reads");
                assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused:?}");
                refused.to_string().contains("only reads")
            })
        })
        .await;
        let unhealthy = store.ping().await.expect_err("health says that it only reads");
        assert!(unhealthy.to_string().contains("only reads"), "{unhealthy}");

        let begun = Instant::now();
        release(&database).await;
        eventually("a write succeeds", RECOVERY, async || write(&store).await.is_ok()).await;
        for written in join_all((0..SESSIONS).map(|_| write(&store))).await {
            written.expect("no other session only reads");
        }
        eventually("health says so", RECOVERY, async || store.ping().await.is_ok()).await;
        orders.append(&json!({ "n": 2 })).await.unwrap();
        let next = tokio::time::timeout(RECOVERY, followed.next()).await.expect("the follower goes on");
        assert_eq!(next.unwrap().unwrap().data, json!({ "n": 2 }));
        println!("recovered after {:?}", begun.elapsed());
    });
}

#[test]
fn a_promoted_standby_takes_the_writes_within_seconds() {
    block_on(async {
        let mut primary = Server::start(&["wal_level=replica"]).await;
        migrations::migrate(&primary.url("shop")).await.unwrap();
        let standby = primary.standby().await;
        let address = Proxy::before(&primary.url("shop")).await;
        let store = PostgresStore::connect(&address.through(&primary.url("shop"))).await.unwrap();
        let orders = Topics::of(store.clone()).untyped("shop.orders").open().await.unwrap();
        let mut followed = orders.follow();
        orders.append(&json!({ "n": 1 })).await.unwrap();
        assert_eq!(followed.next().await.unwrap().unwrap().data, json!({ "n": 1 }));
        let mut replica = PgConnection::connect(&standby.url("shop")).await.unwrap();
        eventually("the standby has the topic", RECOVERY, async || {
            let count = "SELECT count(*) FROM messagekit.topic_records";
            sqlx::query_scalar::<_, i64>(count).fetch_one(&mut replica).await.unwrap() == 1
        })
        .await;

        address.lead_to(&standby.url("shop"));
        primary.end("-QUIT");
        eventually("the standby refuses writes", RECOVERY, async || {
            let refused = write(&store).await.expect_err("the standby only reads");
            assert_eq!(refused.kind(), ErrorKind::Unavailable, "{refused:?}");
            refused.to_string().contains("only reads")
        })
        .await;
        let unhealthy = store.ping().await.expect_err("health says that it only reads");
        assert!(unhealthy.to_string().contains("only reads"), "{unhealthy}");

        let begun = Instant::now();
        sqlx::query("SELECT pg_promote()").execute(&mut replica).await.unwrap();
        eventually("a write succeeds", RECOVERY, async || write(&store).await.is_ok()).await;
        eventually("health says so", RECOVERY, async || store.ping().await.is_ok()).await;
        orders.append(&json!({ "n": 2 })).await.unwrap();
        let next = tokio::time::timeout(RECOVERY, followed.next()).await.expect("the follower goes on");
        assert_eq!(next.unwrap().unwrap().data, json!({ "n": 2 }));
        println!("recovered after {:?}", begun.elapsed());
    });
}

/// A standby that had not got the last records gives their ids and offsets to others.
#[test]
fn a_follower_reads_on_where_a_failover_lost_records() {
    block_on(async {
        let database = Database::fresh().await;
        let orders = Topics::of(database.store().await).untyped("shop.orders").open().await.unwrap();
        let mut followed = orders.follow();
        for n in 1..=4 {
            orders.append(&json!({ "n": n })).await.unwrap();
            let record = followed.next().await.unwrap().unwrap();
            assert_eq!((record.id, &record.data), (n, &json!({ "n": n })));
            if n <= 2 {
                orders.ack(&record).await.unwrap();
            }
        }
        let lose = "DELETE FROM messagekit.topic_records WHERE id > 2;
            UPDATE messagekit.topic_partitions p SET next_offset = coalesce(
              (SELECT max(r.\"offset\") + 1 FROM messagekit.topic_records r WHERE r.tp_id = p.id), p.log_start);
            SELECT setval('messagekit.topic_record_ids', 2)";
        sqlx::raw_sql(lose).execute(&mut database.connection().await).await.unwrap();
        for n in 5..=6 {
            orders.append(&json!({ "n": n })).await.unwrap();
            let next =
                tokio::time::timeout(RECOVERY, followed.next()).await.expect("it is no record of before");
            assert_eq!(next.unwrap().unwrap().data, json!({ "n": n }));
        }
    });
}
