//! Drops of topics that others write to: tables that feed them, and transactions that are open.

use std::sync::Arc;

use messagekit::cleanup::{Retention, clean};
use messagekit::{ErrorKind, Store};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use messagekit_topic_store::TopicDefinitions;
use messagekit_topics::{Topic, Topics};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use super::home::rows;

async fn parcels(topics: &Topics<PostgresStore>) -> Topic<Value, PostgresStore> {
    topics.untyped("shop.parcel").dedup(["id"]).open().await.unwrap()
}

async fn run(connection: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(connection).await.unwrap();
}

const ORDER: &str = "INSERT INTO public.orders (id) VALUES ((SELECT count(*) FROM public.orders))";

#[test]
fn a_topic_that_tables_feed_is_dropped_with_them_or_not_at_all() {
    block_on(async {
        let database = Database::fresh().await;
        let mut writer = database.connection().await;
        run(&mut writer, "CREATE TABLE public.orders (id bigint PRIMARY KEY)").await;
        let topics = Topics::of(database.store().await);
        let kept = parcels(&topics).await;
        topics.source("public.orders").add("shop.parcel").await.unwrap();
        run(&mut writer, ORDER).await;
        let refused = topics.drop("shop.parcel").await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::WrongState);
        assert_eq!(refused.context("sources"), Some("public.orders"));
        assert_eq!(kept.count().await.unwrap().all, 1, "nothing was dropped");

        topics.drop_with_sources("shop.parcel").await.unwrap();
        assert!(topics.sources().await.unwrap().is_empty());
        run(&mut writer, ORDER).await;
        assert_eq!(rows(&topics).await, 0);
        let outbox = "SELECT count(*) FROM messagekit.outbox_events";
        let outbox: i64 = sqlx::query_scalar(outbox).fetch_one(&mut writer).await.unwrap();
        assert_eq!(outbox, 0, "no event goes to the broker instead");
    });
}

/// An event that was written for the old topic, and is committed later, goes with it.
#[test]
fn an_open_transaction_writes_nothing_to_the_next_topic() {
    block_on(async {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        parcels(&topics).await;
        let mut writer = database.connection().await;
        let mut open = writer.begin().await.unwrap();
        run(
            &mut open,
            "SELECT messagekit.publish('shop.parcel', 'a', 'shop.parcel.sent', '{\"id\": \"a\"}')",
        )
        .await;
        topics.drop("shop.parcel").await.unwrap();
        let again = parcels(&topics).await;
        open.commit().await.unwrap();
        assert_eq!(again.count().await.unwrap().all, 0);
        again.append(&json!({ "id": "b" })).await.unwrap();
        assert_eq!(again.count().await.unwrap().all, 1);
        let before = rows(&topics).await;
        clean(topics.store(), &Retention::default(), false, std::future::pending()).await.unwrap();
        assert_eq!(rows(&topics).await, before - 1, "a cleanup deletes the event");
        assert_eq!(again.count().await.unwrap().all, 1);
    });
}

/// An append that has the topic delays the drop; one that comes too late is refused.
#[test]
fn an_append_and_a_drop_wait_for_each_other() {
    block_on(async {
        let database = Database::fresh().await;
        let topics = Topics::of(database.store().await);
        let kept = parcels(&topics).await;
        let store = topics.store();
        let mut tx = store.begin().await.unwrap();
        kept.append_in(&mut tx, &json!({ "id": "a" })).await.unwrap();
        let dropping = tokio::spawn({
            let topics = topics.clone();
            async move { topics.drop("shop.parcel").await }
        });
        assert!(topics.definition("shop.parcel").await.unwrap().is_some());
        store.commit(tx).await.unwrap();
        dropping.await.unwrap().unwrap();
        let mut tx = store.begin().await.unwrap();
        let refused = kept.append_in(&mut tx, &json!({ "id": "b" })).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotFound);
        store.rollback(tx).await.unwrap();
        let read = store.topic_definition(&Arc::from("shop.parcel")).await.unwrap();
        assert_eq!((read, rows(&topics).await), (None, 0));
    });
}
