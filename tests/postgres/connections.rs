//! Connections that break, and transactions that must not stay open.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use messagekit::adapter::Retries;
use messagekit::operations::{FailedMessages, Replays};
use messagekit::{ErrorKind, MessageId, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, block_on, eventually};

use crate::proxy::Proxy;
use crate::shop::{Shop, backend, insert_bill, terminate};

#[test]
fn begin_passes_over_connections_that_died_while_idle() {
    block_on(async {
        let shop = Shop::open().await;
        let other = shop.database.store().await;
        let mut open = Vec::new();
        let mut backends = Vec::new();
        for _ in 0..5 {
            let mut tx = shop.store.begin().await.unwrap();
            backends.push(backend(&mut tx).await);
            open.push(tx);
        }
        for tx in open {
            shop.store.rollback(tx).await.unwrap();
        }
        eventually("all are back in the pool", DEADLINE, async || shop.store.pool().num_idle() >= 5).await;
        for backend in backends {
            terminate(other.pool(), backend).await;
        }
        let mut tx = shop.store.begin().await.expect("a fresh connection is made");
        insert_bill(&mut tx, "b-1").await;
        shop.store.commit(tx).await.unwrap();
        // The pool itself may still hold broken ones.
        let bills = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM bills").fetch_one(other.pool());
        assert_eq!(bills.await.unwrap(), 1);
    });
}

#[test]
fn statements_of_their_own_pass_over_dead_connections_too() {
    block_on(async {
        let shop = Shop::open().await;
        let other = shop.database.store().await;
        let mut tx = shop.store.begin().await.unwrap();
        let backend = backend(&mut tx).await;
        shop.store.rollback(tx).await.unwrap();
        eventually("it is back in the pool", DEADLINE, async || shop.store.pool().num_idle() >= 1).await;
        terminate(other.pool(), backend).await;
        assert_eq!(shop.store.lease(&shop.consumer, 1, DEADLINE).await.unwrap(), []);
    });
}

/// The test holds a lock that only the limit of reads ends in the time of a test.
#[test]
fn abandoned_reads_time_out_and_free_their_connections() {
    block_on(async {
        let shop = Shop::open().await;
        let options = PostgresStore::options().lock_timeout(Duration::from_secs(3_600));
        let options = options.statement_timeout(Duration::from_secs(3_600));
        let store = options.read_timeout(Duration::from_secs(1)).connect(shop.database.url()).await.unwrap();
        let mut lock = shop.store.begin().await.unwrap();
        let statement = "LOCK TABLE messagekit.failed_messages IN ACCESS EXCLUSIVE MODE";
        sqlx::raw_sql(statement).execute(&mut *lock).await.unwrap();
        let filter = messagekit::operations::FailedMessageFilter::default();
        let refused = store.list(&filter, 10).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::TransactionTimeout);
        let given_up =
            (0..20).map(|_| tokio::time::timeout(Duration::from_millis(50), store.list(&filter, 10)));
        for given_up in futures_util::future::join_all(given_up).await {
            assert!(!matches!(given_up, Ok(Ok(_))), "the table is locked");
        }
        eventually("another table is read", DEADLINE, async || store.replays(None, 10).await.is_ok()).await;
        store.commit(store.begin().await.unwrap()).await.unwrap();
        shop.store.rollback(lock).await.unwrap();
        eventually("it is read again", DEADLINE, async || store.list(&filter, 10).await.is_ok()).await;
    });
}

#[test]
fn reads_pass_over_dead_connections_too() {
    block_on(async {
        let shop = Shop::open().await;
        let other = shop.database.store().await;
        let mut tx = shop.store.begin().await.unwrap();
        let backend = backend(&mut tx).await;
        shop.store.rollback(tx).await.unwrap();
        eventually("it is back in the pool", DEADLINE, async || shop.store.pool().num_idle() >= 1).await;
        terminate(other.pool(), backend).await;
        assert_eq!(shop.store.replays(None, 10).await.unwrap(), []);
    });
}

#[test]
fn dropped_begin_leaves_no_transaction_open() {
    block_on(async {
        let shop = Shop::open().await;
        let other = shop.database.store().await;
        for polls in 0..40 {
            let mut begin = pin!(shop.store.begin());
            let mut left = polls % 8;
            // Drop it after this number of polls, wherever that is.
            std::future::poll_fn(|cx| {
                if left == 0 || begin.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(());
                }
                left -= 1;
                Poll::Pending
            })
            .await;
        }
        let open = "SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'";
        eventually("no transaction is open", DEADLINE, async || {
            let open: i64 = sqlx::query_scalar(open).fetch_one(other.pool()).await.unwrap();
            open == 0
        })
        .await;
        shop.store.commit(shop.store.begin().await.unwrap()).await.unwrap();
    });
}

#[test]
fn closed_store_says_so() {
    block_on(async {
        let shop = Shop::open().await;
        shop.store.clone().close().await;
        assert_eq!(shop.store.begin().await.unwrap_err().kind(), ErrorKind::Closed);
        assert_eq!(shop.store.lease("billing", 1, DEADLINE).await.unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn transaction_begins_at_read_committed_whatever_the_default_is() {
    block_on(async {
        let shop = Shop::open().await;
        let alter = format!(
            "ALTER DATABASE {} SET default_transaction_isolation = 'serializable'",
            shop.database.name()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(shop.store.pool()).await.unwrap();
        let store = shop.database.store().await;
        let mut tx = store.begin().await.unwrap();
        let level: String =
            sqlx::query_scalar("SHOW transaction_isolation").fetch_one(&mut *tx).await.unwrap();
        assert_eq!(level, "read committed");
    });
}

#[test]
fn limits_hold_and_say_what_they_are() {
    block_on(async {
        let shop = Shop::open().await;
        // Each in its own store: on a busy machine another limit could expire first. Limits that always apply are longer.
        let url = shop.database.url();
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(5));
        let store = PostgresStore::options().lock_timeout(short).connect(url).await.unwrap();
        let id = messagekit::MessageId::new();
        let rival = shop.bill(&shop.store, &id).await;
        let mut tx = store.begin().await.unwrap();
        let request =
            messagekit::adapter::ClaimRequest { id, topic: "orders.order".into(), key: None, generation: 0 };
        let waited = messagekit::adapter::Markers::claim(&store, &mut tx, &shop.consumer, &[request])
            .await
            .unwrap_err();
        assert_eq!(waited.kind(), ErrorKind::Conflict);
        shop.store.rollback(rival).await.unwrap();

        let store = PostgresStore::options().statement_timeout(long).connect(url).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let slow = sqlx::query("SELECT pg_sleep(600)").execute(&mut *tx).await.unwrap_err();
        assert_eq!(messagekit_postgres::PostgresStore::classify(&slow), Some(ErrorKind::TransactionTimeout));

        let store = PostgresStore::options().idle_in_transaction_timeout(long).connect(url).await.unwrap();
        let mut tx = store.begin().await.unwrap();
        let idle = backend(&mut tx).await;
        eventually("the server ends what stands idle", DEADLINE, async || {
            let gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)";
            sqlx::query_scalar(gone).bind(idle).fetch_one(shop.store.pool()).await.unwrap()
        })
        .await;
        let ended = sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap_err();
        assert_eq!(messagekit_postgres::PostgresStore::classify(&ended), Some(ErrorKind::TransactionTimeout));
    });
}

/// A handler whose deadline has passed leaves its statement running.
#[test]
fn rollback_after_a_dropped_statement_waits_within_its_limit() {
    block_on(async {
        let shop = Shop::open().await;
        let limit = shop.count("SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'");
        assert_eq!(limit.await, 120_000, "it is limited unless something else was chosen");

        let options = PostgresStore::options().statement_timeout(Duration::from_secs(5));
        let store = options.connect(shop.database.url()).await.unwrap();
        let id = MessageId::new();
        let mut tx = shop.bill(&store, &id).await;
        let statement = sqlx::query("SELECT pg_sleep(600)").execute(&mut *tx);
        tokio::time::timeout(Duration::from_millis(50), statement).await.expect_err("it runs on");
        let rolling_back = store.rollback(tx);
        let other = shop.bill(&store, &MessageId::new()).await;
        store.commit(other).await.unwrap();
        // The answer may be that of the dropped statement; either way no lock is held any more.
        let _ = tokio::time::timeout(DEADLINE, rolling_back).await.expect("the server has ended it");
        let rival = shop.bill(&store, &id).await;
        store.commit(rival).await.unwrap();
        assert_eq!(shop.bills().await, 2);
    });
}

/// No packet says that the other side is gone: a machine without power, a firewall that drops its state.
#[test]
fn server_that_falls_silent_is_given_up() {
    block_on(async {
        let shop = Shop::open().await;
        let proxy = Proxy::to(&shop.database).await;
        let options = PostgresStore::options().statement_timeout(Duration::from_secs(5));
        let store = options.connect(&proxy.url(&shop.database)).await.unwrap();
        let (commits, rolls_back) = (store.begin().await.unwrap(), store.begin().await.unwrap());
        let mut adds = store.begin().await.unwrap();
        proxy.fall_silent();
        let started = Instant::now();
        let (outbox, order) =
            (messagekit::Outbox::new(store.clone(), "shop").unwrap(), crate::shop::OrderPlaced::new("o-1"));
        let (committed, rolled_back, added, leased) = tokio::join!(
            store.commit(commits),
            store.rollback(rolls_back),
            outbox.add(&mut adds, order),
            store.lease(&shop.consumer, 1, DEADLINE),
        );
        assert!(started.elapsed() < DEADLINE, "it took {:?}", started.elapsed());
        assert_eq!(committed.unwrap_err().kind(), ErrorKind::OutcomeUnknown, "it may have been kept");
        for error in [rolled_back.unwrap_err(), added.unwrap_err(), leased.unwrap_err()] {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        }
    });
}
