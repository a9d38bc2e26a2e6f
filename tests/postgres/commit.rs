//! The answer of a commit, and the rows afterwards.

use messagekit::{Claim, ErrorKind, MessageId, Store};
use messagekit_testkit::{DEADLINE, block_on, eventually};

use crate::proxy::Proxy;
use crate::shop::{OrderPlaced, Shop, backend, insert_bill, run, terminate};

#[test]
fn swallowed_error_is_refused_and_nothing_is_kept() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        let mut tx = shop.bill(&shop.store, &id).await;
        shop.outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap();
        let swallowed = sqlx::query("INSERT INTO no_such_table VALUES (1)").execute(&mut *tx).await;
        assert!(swallowed.is_err());
        assert_eq!(shop.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted);
        assert_eq!((shop.bills().await, shop.events().await, shop.look(&id).await), (0, 0, Claim::Fresh));
    });
}

#[test]
fn transaction_that_its_own_statement_ended_is_refused() {
    block_on(async {
        let shop = Shop::open().await;
        for statement in ["ROLLBACK", "COMMIT"] {
            let mut tx = shop.store.begin().await.unwrap();
            sqlx::raw_sql(statement).execute(&mut *tx).await.unwrap();
            assert_eq!(shop.store.commit(tx).await.unwrap_err().kind(), ErrorKind::Aborted, "{statement}");
        }
        let tx = shop.bill(&shop.store, &MessageId::new()).await;
        shop.store.rollback(tx).await.unwrap();
    });
}

/// As in the handler of a web server, whose future is moved between threads.
#[test]
fn a_task_writes_row_and_event_in_one_transaction() {
    block_on(async {
        let shop = Shop::open().await;
        let outbox = shop.outbox.clone();
        let placed = tokio::spawn(async move {
            let order = OrderPlaced::new("o-1");
            outbox
                .transaction(async |tx| {
                    sqlx::query("CREATE TABLE orders (id TEXT)").execute(&mut **tx).await?;
                    Ok(outbox.add(tx, order).await?)
                })
                .await
        });
        placed.await.unwrap().unwrap();
        assert_eq!(shop.events().await, 1);
        sqlx::query("TABLE orders").execute(shop.store.pool()).await.unwrap();
    });
}

#[test]
fn constraint_that_is_checked_at_the_commit_refuses_it() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        run(shop.store.pool(), "ALTER TABLE bills ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED").await;
        let mut tx = shop.bill(&shop.store, &id).await;
        insert_bill(&mut tx, id.as_str()).await;
        let refused = shop.store.commit(tx).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Other);
        assert!(messagekit::chain(&refused).contains("bills_id_key"), "{refused:?}");
        assert!(!format!("{refused:?}").contains(id.as_str()), "the row's value is in {refused:?}");
        assert_eq!((shop.bills().await, shop.look(&id).await), (0, Claim::Fresh));
    });
}

#[test]
fn connection_lost_in_a_batch_is_an_outage_and_leaves_it_fresh() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        let mut tx = shop.bill(&shop.store, &id).await;
        let backend = backend(&mut tx).await;
        terminate(shop.store.pool(), backend).await;
        let lost = shop.outbox.add(&mut tx, OrderPlaced::new("o-1")).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        assert!(shop.store.commit(tx).await.unwrap_err().is_transient());
        assert_eq!((shop.bills().await, shop.look(&id).await), (0, Claim::Fresh));
    });
}

#[test]
fn connection_ended_before_the_commit_never_answers_ok() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        let mut tx = shop.bill(&shop.store, &id).await;
        let backend = backend(&mut tx).await;
        terminate(shop.store.pool(), backend).await;
        let lost = shop.store.commit(tx).await.unwrap_err();
        assert_eq!(
            lost.kind(),
            ErrorKind::Unavailable,
            "the server said so before it came to the commit: {lost:?}"
        );
        assert_eq!((shop.bills().await, shop.look(&id).await), (0, Claim::Fresh));
    });
}

#[test]
fn connection_ended_during_the_commit_is_resolved_by_the_marker() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        let mut tx = shop.bill(&shop.store, &id).await;
        sqlx::query("INSERT INTO slow VALUES ('s')").execute(&mut *tx).await.unwrap();
        let backend = backend(&mut tx).await;
        let store = shop.store.clone();
        let committing = tokio::spawn(async move { store.commit(tx).await });
        eventually("the server is at the commit", DEADLINE, async || {
            let waits = "SELECT coalesce((SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $1), false)";
            sqlx::query_scalar(waits).bind(backend).fetch_one(shop.store.pool()).await.unwrap()
        })
        .await;
        terminate(shop.store.pool(), backend).await;
        assert_eq!(committing.await.unwrap().unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!((shop.look(&id).await, shop.bills().await), (Claim::Fresh, 0), "this one was not kept");
    });
}

#[test]
fn commit_whose_answer_is_lost_is_resolved_by_the_marker() {
    block_on(async {
        let (shop, id) = (Shop::open().await, MessageId::new());
        let proxy = Proxy::to(&shop.database).await;
        let store = messagekit_postgres::PostgresStore::connect(&proxy.url(&shop.database)).await.unwrap();
        let tx = shop.bill(&store, &id).await;
        proxy.cut_next_commit();
        assert_eq!(store.commit(tx).await.unwrap_err().kind(), ErrorKind::OutcomeUnknown);
        assert_eq!((shop.look(&id).await, shop.bills().await), (Claim::Done, 1), "this one was kept");
    });
}
