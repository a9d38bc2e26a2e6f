//! Tables in a schema whose name is a word of SQL: every operation works there.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::cleanup::{CleanupTarget, Retention, clean};
use messagekit::operations::{
    Action, EventFilter, FailedMessageFilter, FailedMessageState, FailedMessages, Operator, OutboxHealth,
    ReplayIds, ReplayOrder, Replays,
};
use messagekit::relay::RejectedEvents;
use messagekit::{Backoff, Consumer, Envelope, ErrorKind, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_memory::MemoryLog;
use messagekit_postgres::publishing_mode::{Existing, to_cdc, to_relay};
use messagekit_postgres::{PgTx, PostgresStore, SchemaName, cdc, migrations, partitioning};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::Database;
use sqlx::{AssertSqlSafe, Executor};

use crate::relay::outbox::{Log, relay};
use crate::relay::switch::{password, read_slot_of};
use crate::shop::OrderPlaced;

async fn in_schema(name: &str) -> (Database, SchemaName, PostgresStore) {
    let (database, schema) = (Database::empty().await, name.parse::<SchemaName>().unwrap());
    migrations::migrate_in(database.url(), &schema).await.expect("migrates");
    assert_eq!(migrations::status_in(database.url(), &schema).await.unwrap().pending, Vec::<&str>::new());
    let store = PostgresStore::options().schema(schema.clone()).connect(database.url()).await.unwrap();
    (database, schema, store)
}

/// Fails the order `o-3` until it is repaired.
async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let is_open: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM mended)").fetch_one(&mut **tx).await?;
    match order.data.order_id.as_str() {
        "o-3" if !is_open => Err(HandlerError::permanent("no stock")),
        id => {
            sqlx::query("INSERT INTO bills VALUES ($1)").bind(id).execute(&mut **tx).await?;
            Ok(())
        }
    }
}

async fn write(store: &PostgresStore, schema: &str, orders: std::ops::Range<u32>) {
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    for number in orders {
        let mut tx = store.begin().await.unwrap();
        outbox.add(&mut tx, OrderPlaced::new(&format!("o-{number}"))).await.unwrap();
        outbox.commit(tx).await.unwrap();
    }
    let by_hand =
        format!("SELECT \"{schema}\".publish('orders.order', 'o-x', 'orders.order.placed', '{{}}')");
    store.pool().execute(AssertSqlSafe(by_hand)).await.expect("publishes");
}

/// Relays the pending events, and returns how many were published.
async fn relayed(store: &PostgresStore) -> usize {
    let (log, shutdown) = (Arc::new(Log::default()), Shutdown::new());
    let running = tokio::spawn(relay(store, &log).unwrap().run(shutdown.clone()));
    eventually("nothing is pending", DEADLINE, async || {
        assert!(!running.is_finished(), "the relay has ended");
        store.lag().await.expect("its lag can be measured").pending == 0
    })
    .await;
    shutdown.request();
    running.await.unwrap().unwrap();
    log.ids().len()
}

/// Consumes orders; one is set aside, and retried when it can succeed.
async fn consumes(store: &PostgresStore) {
    store
        .pool()
        .execute("CREATE TABLE public.bills (id text); CREATE TABLE public.mended (a int)")
        .await
        .unwrap();
    let log = MemoryLog::new(1);
    let order = |number: u32| {
        codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number}"))), "shop").unwrap()
    };
    let orders: Vec<_> = (0..10).map(order).collect();
    log.publish(&orders).await.into_iter().for_each(|result| result.unwrap());
    let consumer = Consumer::builder("billing", store.clone())
        .from(log.topics([OrderPlaced::TOPIC]))
        .attempts(NonZeroU32::new(2).unwrap())
        .backoff(Backoff::fixed(Duration::from_millis(5)))
        .on(bill)
        .build()
        .unwrap();
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    eventually("all but one are handled", DEADLINE, async || stats.read().handled == 9).await;
    let filter =
        FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() };
    eventually("one is dead", DEADLINE, async || store.list(&filter, 10).await.unwrap().len() == 1).await;
    let failed_message = store.list(&filter, 10).await.unwrap().remove(0);
    store.show(failed_message.id).await.expect("it can be looked at");
    assert_eq!(store.groups(&FailedMessageFilter::default(), 10).await.unwrap().len(), 1);
    store.pool().execute("INSERT INTO mended VALUES (1)").await.unwrap();
    store.act(Action::Retry, &[failed_message.id], &Operator::new("ann", "test")).await.unwrap();
    eventually("it is handled", DEADLINE, async || store.list(&filter, 10).await.unwrap().is_empty()).await;
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// Publishes stored events once more, as the workers of the admin do.
async fn replays(store: &PostgresStore) {
    let filter = EventFilter::default();
    let events = store.events(&filter, None, 100).await.unwrap().len() as u64;
    assert_eq!(store.replay_count(&filter).await.unwrap().events, events);
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    store.order_replay(&order, &Operator::new("ann", "test")).await.unwrap();
    let (lease, _) = store.lease_replay(Duration::from_secs(600)).await.unwrap().expect("one is ordered");
    let never = |_: &_| panic!("events keep their ids");
    store.replay_step(lease, 100, Duration::from_secs(600), &never).await.unwrap();
    assert_eq!(relayed(store).await as u64, events);
}

async fn cleans(store: &PostgresStore) {
    let done =
        clean(store, &Retention::default(), false, std::future::pending::<()>()).await.expect("cleans");
    let events = done.iter().find(|cleaned| cleaned.what == CleanupTarget::Events).unwrap();
    assert_eq!(events.kept_because, None);
}

async fn walk(name: &str) {
    let (database, schema, store) = in_schema(name).await;
    let url = database.url();
    to_relay(url, &schema, Existing::Refuse, DEADLINE).await.expect("the outbox can be the relay's");
    write(&store, name, 0..5).await;
    assert_eq!(relayed(&store).await, 6);
    consumes(&store).await;
    store.ping().await.unwrap();
    store.checkpoint(Duration::ZERO).await.unwrap();
    replays(&store).await;
    assert_eq!(store.rejected(0, 10, true).await.unwrap(), []);
    cleans(&store).await;

    partitioning::divide(url, &schema, DEADLINE).await.expect("divides");
    write(&store, name, 5..10).await;
    assert_eq!(relayed(&store).await, 6);
    cleans(&store).await;

    to_cdc(url, &schema, Some(&password()), DEADLINE).await.expect("capture can have it");
    write(&store, name, 10..12).await;
    let capture = cdc::Capture::of(url, &schema).unwrap();
    assert_eq!(read_slot_of(store.pool(), &capture.slot, &capture.publication).await.len(), 3);
    let findings = cdc::findings(url, &schema).await.unwrap();
    assert!(
        findings.iter().all(|found| found.subject == cdc::Subject::Reader),
        "nobody reads it: {findings:?}"
    );
    cdc::drop_slot(url, &schema).await.unwrap();
}

#[test]
fn everything_works_in_a_schema_whose_name_is_a_word_of_sql() {
    block_on(async {
        for name in ["order", "user"] {
            walk(name).await;
        }
    });
}

#[test]
fn printed_statements_work_in_a_schema_named_by_a_keyword() {
    block_on(async {
        let (database, schema) = (Database::empty().await, "select".parse::<SchemaName>().unwrap());
        let sql = migrations::pending_sql_in(database.url(), &schema).await.unwrap();
        database.connection().await.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("psql runs them");
        assert_eq!(migrations::status_in(database.url(), &schema).await.unwrap().pending, Vec::<&str>::new());
        let sql = cdc::set_up_sql(database.url(), &schema).await.unwrap();
        assert!(sql.contains("FOR TABLE \"select\".outbox_events"), "{sql}");
    });
}

/// A connector compares the name as it is, without quotes.
#[test]
fn connector_is_given_the_table_without_quotes() {
    let schema = "order".parse::<SchemaName>().unwrap();
    let capture = cdc::Capture::of("postgres://app@db/shop", &schema).unwrap();
    assert_eq!(capture.table(), "order.outbox_events");
}

#[test]
fn names_that_only_quotes_could_carry_are_refused_with_the_rule() {
    for name in ["Order", "my.schema", "my\"schema", "my schema", "'", "", "1st", "pg_order", &"x".repeat(64)]
    {
        let refused = name.parse::<SchemaName>().unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
        assert!(refused.to_string().contains("1 to 63 characters of a-z, 0-9 and _"), "{refused}");
    }
}
