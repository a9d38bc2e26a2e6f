//! Given, when, then: on a temporary file and in memory.

use std::sync::Arc;

use messagekit::adapter::{FailureKind, FullInbox, OutboxEvents, OutboxRows};
use messagekit::{
    Consumer, Delivered, Envelope, Event, HandlerError, HandlerErrorKind, Outbox, Router, Store,
};
use messagekit_memory::{MemoryLog, MemorySource, MemoryStore};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::service::{Scenario, emitted};
use serde::{Deserialize, Serialize};

#[derive(Clone, Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "order_id")]
struct BillIssued {
    order_id: String,
    pence: i64,
    attempt: u32,
}

fn order(id: &str, pence: i64) -> OrderPlaced {
    OrderPlaced { order_id: id.to_owned(), pence }
}

fn bill(id: &str, pence: i64, attempt: u32) -> BillIssued {
    BillIssued { order_id: id.to_owned(), pence, attempt }
}

/// Bills what costs something, on any store.
async fn issue<S: OutboxRows>(
    outbox: &Outbox<S>,
    tx: &mut S::Tx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    let attempt = order.delivery().map_or(0, |delivery| delivery.attempt);
    match order.data.pence {
        0 => Ok(()),
        ..0 => Err(HandlerError::permanent("less than nothing")),
        pence => {
            let issued = bill(&order.data.order_id, pence, attempt).follow(&order);
            outbox.add(tx, issued).await?;
            Ok(())
        }
    }
}

fn billing<S: FullInbox + OutboxRows>(store: &S, router: Router<S>) -> Consumer<S, MemorySource> {
    let consumer = Consumer::builder("billing", store.clone()).from(MemoryLog::new(1)).router(router);
    consumer.build().expect("the consumer is complete")
}

fn in_memory() -> Consumer<MemoryStore, MemorySource> {
    let store = MemoryStore::new();
    let outbox = Arc::new(Outbox::new(store.clone(), "billing").expect("the name is valid"));
    billing(&store, Router::new().on_with(outbox, issue::<MemoryStore>))
}

async fn reads_as_a_specification<S: FullInbox + OutboxRows + OutboxEvents>(
    billing: &Consumer<S, MemorySource>,
) {
    let issued = Scenario::of(billing)
        .given([order("o-1", 995)])
        .when(order("o-2", 5))
        .then_emitted([bill("o-2", 5, 1)])
        .await;
    assert!(issued[0].causation_id.is_some(), "it follows the order");
    Scenario::of(billing).when(order("o-3", 0)).then_emitted_nothing().await;
    let third = Envelope::new(order("o-4", 20)).with_attempt(3);
    Scenario::of(billing).when(third.clone()).then_emitted([bill("o-4", 20, 3)]).await;
    Scenario::of(billing).when(third).then_is(Delivered::Duplicate).await;
    let refused = Scenario::of(billing).when(order("o-5", -1)).then_fails(FailureKind::Permanent).await;
    assert_eq!(refused.error, "less than nothing");
    assert_eq!(emitted::<BillIssued>(billing.store()).await.expect("reads the outbox").len(), 3);
}

#[tokio::test]
async fn scenario_in_memory_reads_as_a_specification() {
    reads_as_a_specification(&in_memory()).await;
}

#[tokio::test]
async fn scenario_on_a_file_reads_as_a_specification() {
    let store = SqliteStore::temporary().await.unwrap();
    let outbox = Arc::new(Outbox::new(store.clone(), "billing").unwrap());
    let router = Router::new().on_with(outbox, issue::<SqliteStore>);
    reads_as_a_specification(&billing(&store, router)).await;
}

#[tokio::test]
async fn handler_with_sql_is_delivered_to_on_a_file() {
    async fn record(tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        let OrderPlaced { order_id, pence } = order.data;
        tx.call(move |c| c.execute("INSERT INTO bills VALUES (?1, ?2)", (order_id, pence))).await?;
        Ok(())
    }
    let store = SqliteStore::temporary().await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute_batch("CREATE TABLE bills (id TEXT PRIMARY KEY, pence INTEGER) STRICT"))
        .await
        .unwrap();
    store.commit(tx).await.unwrap();
    let billing = billing(&store, Router::new().on(record));
    let mut scenario = Scenario::of(&billing);
    assert_eq!(scenario.deliver(order("o-1", 995)).await.unwrap(), Delivered::Handled);
    assert_eq!(scenario.redeliver().await.unwrap(), Delivered::Duplicate);
    let refused = scenario.deliver(order("o-1", 5)).await.unwrap();
    assert_eq!(refused.failure().map(|failure| failure.kind), Some(FailureKind::Failed), "{refused:?}");
    let count = store.read(|c| c.query_row("SELECT count(*) FROM bills", (), |row| row.get::<_, i64>(0)));
    assert_eq!(count.await.unwrap(), 1);
}

#[tokio::test]
async fn scenario_emits_what_its_deliveries_wrote() {
    let billing = in_memory();
    Scenario::of(&billing).when(order("o-1", 1)).then_emitted([bill("o-1", 1, 1)]).await;
    let mut scenario = Scenario::of(&billing);
    assert!(scenario.emitted::<BillIssued>().await.unwrap().is_empty());
    assert_eq!(scenario.deliver(order("o-2", 2)).await.unwrap(), Delivered::Handled);
    let ids: Vec<String> =
        scenario.emitted::<BillIssued>().await.unwrap().into_iter().map(|bill| bill.data.order_id).collect();
    assert_eq!(ids, ["o-2"]);
}

/// Returns the text of the panic of a comparison.
async fn panic_of(comparison: impl Future<Output = ()> + Send + 'static) -> String {
    let panic = tokio::spawn(comparison).await.expect_err("the comparison fails").into_panic();
    *panic.downcast::<String>().expect("a panic with a text")
}

#[tokio::test]
async fn failed_comparison_says_what_was_emitted() {
    let nothing = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).when(order("o-1", 0)).then_emitted([bill("o-1", 0, 1)]).await;
    });
    let nothing = nothing.await;
    assert!(nothing.ends_with("expected 1 `billing.bill.issued`, emitted: nothing"), "{nothing}");
    assert!(nothing.contains("scenario.rs:"), "it names the line of the test: {nothing}");

    let other = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).when(order("o-1", 5)).then_emitted([order("o-1", 5)]).await;
    });
    let other = other.await;
    assert!(other.ends_with("expected 1 `orders.order.placed`, emitted: 1 `billing.bill.issued`"), "{other}");

    let differs = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).when(order("o-1", 5)).then_emitted([bill("o-1", 6, 1)]).await;
    });
    let differs = differs.await;
    assert!(differs.contains("event 1 of 1, `billing.bill.issued`, differs"), "{differs}");
    assert!(differs.contains(r#"emitted:  {"attempt":1,"order_id":"o-1","pence":5}"#), "{differs}");
}

#[tokio::test]
async fn failed_comparison_says_why_the_event_failed() {
    let failed = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).when(order("o-1", -1)).then_emitted_nothing().await;
    });
    let failed = failed.await;
    let said = "the event is expected to be handled, and failed (permanent): less than nothing";
    assert!(failed.ends_with(said), "{failed}");

    let given = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).given([order("o-1", -1)]).when(order("o-2", 1)).then_emitted_nothing().await;
    });
    let given = given.await;
    assert!(given.contains("given event 1, `orders.order.placed`, is expected to be handled"), "{given}");

    let passed = panic_of(async {
        let billing = in_memory();
        Scenario::of(&billing).when(order("o-1", 0)).then_fails(FailureKind::Failed).await;
    });
    let passed = passed.await;
    assert!(passed.ends_with("the event is expected to fail (failed), and was handled"), "{passed}");
}

#[tokio::test]
async fn handler_is_tested_without_a_consumer() {
    let store = MemoryStore::new();
    let outbox = Outbox::new(store.clone(), "billing").unwrap();
    let mut tx = store.begin().await.unwrap();
    let second = Envelope::new(order("o-1", -1)).with_attempt(2);
    let refused = issue(&outbox, &mut tx, second).await.unwrap_err();
    assert_eq!(refused.kind(), HandlerErrorKind::Permanent);
}

#[tokio::test]
async fn given_events_come_before_a_delivered_one() {
    let billing = in_memory();
    let mut scenario = Scenario::of(&billing).given([order("o-1", 995)]);
    assert!(matches!(scenario.deliver(order("o-2", 5)).await.expect("delivered"), Delivered::Handled));
    let issued = scenario.emitted::<BillIssued>().await.expect("read back");
    let ids: Vec<&str> = issued.iter().map(|bill| &*bill.data.order_id).collect();
    assert_eq!(ids, ["o-1", "o-2"]);
    let mut refused = Scenario::of(&billing).given([order("o-3", -1)]);
    let error = refused.deliver(order("o-4", 5)).await.expect_err("a given event fails");
    assert!(error.to_string().contains("a given event was not handled"), "{error}");
}
