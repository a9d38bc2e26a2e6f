//! Delayed events: accepted in relay mode, and refused in Debezium mode, where they would not wait.

use std::time::Duration;

use messagekit::{ErrorKind, Outbox, Store};
use messagekit_postgres::publishing_mode::{Existing, to_cdc, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, partitioning};
use messagekit_testkit::{DEADLINE, block_on};
use messagekit_tests::Database;
use sqlx::postgres::PgDatabaseError;
use sqlx::{AssertSqlSafe, Executor};

use super::switch::password;
use crate::shop::OrderPlaced;

const HOUR: Duration = Duration::from_secs(3_600);

/// Adds a delayed event in its own transaction, and returns the outcome of the call.
async fn add_after(
    outbox: &Outbox<PostgresStore>,
    order: &str,
    delay: Duration,
) -> Result<(), messagekit::Error> {
    let mut tx = outbox.store().begin().await.unwrap();
    match outbox.add_after(&mut tx, OrderPlaced::new(order), delay).await {
        Ok(_) => outbox.commit(tx).await,
        Err(error) => {
            outbox.store().rollback(tx).await.unwrap();
            Err(error)
        }
    }
}

async fn count(store: &PostgresStore, what: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM messagekit.{what}"));
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}

async fn refuses_delays(store: &PostgresStore) {
    let before = count(store, "outbox_events").await;
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let refused = add_after(&outbox, "o-later", HOUR).await.expect_err("nothing would wait for it");
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration, "{refused}");
    for said in ["messagekit migrate --relay", "ignore_delays_without_relay"] {
        assert!(refused.to_string().contains(said), "{refused} does not say {said}");
    }
    let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
        VALUES ('by-hand', 'a.b', '', now() + interval '1 h')";
    let by_hand = store.pool().execute(insert).await.expect_err("in SQL neither");
    let by_hand: &PgDatabaseError = by_hand.as_database_error().unwrap().downcast_ref();
    assert_eq!((by_hand.code(), by_hand.constraint()), ("0A000", Some("outbox_delay_needs_relay")));
    assert!(by_hand.hint().is_some_and(|hint| hint.contains("messagekit migrate --relay")), "{by_hand}");
    assert_eq!(count(store, "outbox_events").await, before, "nothing was written");
}

/// Requires that an event without a delay is published at once, and so is one whose writer permits that.
async fn sends_at_once_what_asks_for_it(store: &PostgresStore) {
    let delayed = async || count(store, "outbox_events WHERE available_at > now()").await;
    let before = (count(store, "outbox_events").await, delayed().await);
    add_after(&Outbox::new(store.clone(), "shop").unwrap(), "o-now", Duration::ZERO).await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap().ignore_delays_without_relay();
    add_after(&outbox, "o-any", HOUR).await.expect("its delay may be ignored");
    let due = "INSERT INTO messagekit.outbox_events (event_id, topic, payload, available_at)
        VALUES (gen_random_uuid()::text, 'a.b', '', now() - interval '1 h')";
    store.pool().execute(due).await.expect("it is due already");
    assert_eq!((count(store, "outbox_events").await, delayed().await), (before.0 + 3, before.1));
}

async fn delays(store: &PostgresStore) {
    for outbox in [
        Outbox::new(store.clone(), "shop").unwrap(),
        Outbox::new(store.clone(), "shop").unwrap().ignore_delays_without_relay(),
    ] {
        let before = count(store, "outbox_pending WHERE shard < 0").await;
        add_after(&outbox, "o-later", HOUR).await.expect("a relay waits for it");
        assert_eq!(count(store, "outbox_pending WHERE shard < 0").await, before + 1);
    }
    store.pool().execute("DELETE FROM messagekit.outbox_pending").await.unwrap();
}

/// A writer keeps its connections, its prepared statements and its store: it caches nothing of the former mode.
#[test]
fn delay_is_refused_or_kept_by_the_current_publishing_mode() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), SchemaName::default());
        let store = database.store().await;
        refuses_delays(&store).await;
        sends_at_once_what_asks_for_it(&store).await;

        to_relay(url, &schema, Existing::Leave, DEADLINE).await.unwrap();
        delays(&store).await;

        to_cdc(url, &schema, Some(&password()), DEADLINE).await.unwrap();
        refuses_delays(&store).await;
        sends_at_once_what_asks_for_it(&store).await;
        messagekit_postgres::cdc::drop_slot(url, &schema).await.unwrap();

        to_relay(url, &schema, Existing::Leave, DEADLINE).await.unwrap();
        delays(&store).await;
    });
}

#[test]
fn outbox_divided_by_day_treats_delays_like_an_undivided_one() {
    block_on(async {
        let database = Database::fresh().await;
        let (url, schema) = (database.url(), SchemaName::default());
        partitioning::divide(url, &schema, DEADLINE).await.unwrap();
        let store = database.store().await;
        refuses_delays(&store).await;
        sends_at_once_what_asks_for_it(&store).await;
        to_relay(url, &schema, Existing::Leave, DEADLINE).await.unwrap();
        delays(&store).await;

        // Partitioned while a relay publishes it.
        let database = Database::fresh().await;
        to_relay(database.url(), &schema, Existing::Refuse, DEADLINE).await.unwrap();
        partitioning::divide(database.url(), &schema, DEADLINE).await.unwrap();
        let store = database.store().await;
        delays(&store).await;
        to_cdc(database.url(), &schema, Some(&password()), DEADLINE).await.unwrap();
        refuses_delays(&store).await;
        messagekit_postgres::cdc::drop_slot(database.url(), &schema).await.unwrap();
    });
}
