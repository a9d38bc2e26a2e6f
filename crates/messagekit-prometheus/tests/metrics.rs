//! Prometheus metrics.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{Publisher, RemoteContext, SpanCounts, Telemetry, set_telemetry};
use messagekit::gate::{Gates, RateLimit};
use messagekit::headers::TraceContext;
use messagekit::log::{OrderedReader, SourceFault, Start};
use messagekit::operations::{
    ConsumerPosition, ConsumerStatus, FailedMessageState, FailedMessageTotal, LagPart, OutboxLag,
    SourceState, UnhandledMessages,
};
use messagekit::relay::Relay;
use messagekit::{Consumer, Envelope, ErrorKind, Event, HandlerError, Message, Outbox, Shutdown, Store};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx, TestGate};
use messagekit_prometheus::{Metrics, names, text as text_of};
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::{DEADLINE, eventually};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tracing::Span;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn bill(_: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    match &*order.data.order_id {
        "bad" => Err(HandlerError::permanent("no customer")),
        _ => Ok(()),
    }
}

fn total(consumer: &str, state: FailedMessageState, failed_messages: u64) -> FailedMessageTotal {
    FailedMessageTotal { consumer: consumer.to_owned(), state, failed_messages }
}

#[tokio::test]
async fn consumer_metrics_need_no_change_in_the_program() {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    for order_id in ["o-1", "bad", "o-2"] {
        outbox.add(&mut tx, OrderPlaced { order_id: order_id.to_owned() }).await.unwrap();
    }
    outbox.commit(tx).await.unwrap();

    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    // Two consumers of one name share the work; their metrics are summed.
    let shutdown = Shutdown::new();
    let mut running = Vec::new();
    for _ in 0..2 {
        let billing = Consumer::builder("billing", store.clone()).from(log.topics(["orders.order"])).on(bill);
        let billing = billing.build().unwrap();
        metrics.consumer("billing", billing.stats());
        running.push(tokio::spawn(billing.run(shutdown.clone())));
    }
    let has = |line: &str| text_of(&registry).lines().any(|known| known == line);
    let handled = r#"messagekit_consumer_handled_total{consumer="billing",outcome="handled"} 2"#;
    let dead = r#"messagekit_consumer_handled_total{consumer="billing",outcome="dead"} 1"#;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while !(has(handled) && has(dead)) {
        assert!(tokio::time::Instant::now() < deadline, "{}", text_of(&registry));
        tokio::task::yield_now().await;
    }
    shutdown.request();
    for running in running {
        running.await.unwrap().unwrap();
    }

    let text = text_of(&registry);
    assert!(has(r#"messagekit_consumer_failures_total{consumer="billing",kind="permanent"} 1"#), "{text}");
    let runs = text.lines().find_map(|line| {
        line.strip_prefix(r#"messagekit_consumer_handle_seconds_count{consumer="billing"} "#)?
            .parse::<u64>()
            .ok()
    });
    assert!(runs.is_some_and(|runs| runs >= 3), "each run of a handler is timed: {text}");
    assert!(
        text.contains(r#"messagekit_consumer_batches_total{consumer="billing",outcome="committed"}"#),
        "{text}"
    );
}

fn position(topic: &str, partition: i32, behind: Option<u64>) -> ConsumerPosition {
    ConsumerPosition { topic: topic.into(), partition, next: 10, behind }
}

/// Returns a consumer with two blocked keys, whose oldest failed message is a minute old.
fn waiting(consumer: &str, retries_due: u64) -> ConsumerStatus {
    ConsumerStatus {
        consumer: consumer.to_owned(),
        newest_marker_at: None,
        last_activity_at: None,
        dedup_window: None,
        positions: vec![
            position("shop.orders", 0, Some(3)),
            position("shop.orders", 1, Some(4)),
            position("shop.bills", 0, Some(0)),
            position("orders.order", 0, None),
        ],
        failed_messages: Vec::new(),
        blocked_keys: 2,
        retries_due,
        oldest_failed_at: Some(Timestamp::now() - Duration::from_secs(60)),
        unhandled: vec![UnhandledMessages {
            topic: "orders.order".into(),
            event_type: "orders.order.\"palced\"\n".to_owned(),
            similar: vec!["orders.order.placed".to_owned(), "orders.order.palced".to_owned()],
            messages: 7,
            first_at: Timestamp::now(),
            last_at: Timestamp::now(),
        }],
    }
}

fn source(fault: Option<SourceFault>) -> SourceState {
    SourceState { topic: "shop.orders".to_owned(), table: "public.orders".to_owned(), fault }
}

#[test]
fn what_was_counted_before_does_not_stay() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let lag = OutboxLag {
        pending: 7,
        overdue: 5,
        oldest: Some(Duration::from_millis(12_500)),
        slot_bytes: Some(4096),
        ..OutboxLag::default()
    };
    metrics.outbox("shop", &lag);
    metrics.failed_messages(
        "shop",
        &[
            total("billing", FailedMessageState::Dead, 3),
            total("billing", FailedMessageState::RetryScheduled, 1),
        ],
    );
    metrics.consumer_statuses("shop", &[waiting("billing", 4)]);
    metrics.source_states("shop", &[source(Some(SourceFault::TriggerMissing))]);
    let text = text_of(&registry);
    for line in [
        r#"messagekit_outbox_slot_bytes{database="shop"} 4096"#,
        r#"messagekit_retries_due{database="shop",consumer="billing"} 4"#,
        r#"messagekit_blocked_keys{database="shop",consumer="billing"} 2"#,
        r#"messagekit_records_behind{database="shop",consumer="billing",topic="shop.orders"} 7"#,
        r#"messagekit_records_behind{database="shop",consumer="billing",topic="shop.bills"} 0"#,
        r#"messagekit_records_reached{database="shop",consumer="billing",topic="shop.orders"} 20"#,
        r#"messagekit_unhandled_messages{database="shop",consumer="billing",topic="orders.order",event_type="orders.order.\"palced\"\n",similar="orders.order.placed, orders.order.palced"} 7"#,
        r#"messagekit_outbox_pending{database="shop"} 7"#,
        r#"messagekit_outbox_overdue{database="shop"} 5"#,
        r#"messagekit_outbox_oldest_seconds{database="shop"} 12.5"#,
        r#"messagekit_failed_messages{database="shop",consumer="billing",state="dead"} 3"#,
        r#"messagekit_failed_messages{database="shop",consumer="billing",state="retry_scheduled"} 1"#,
        r#"messagekit_table_source_faulty{database="shop",topic="shop.orders",table="public.orders"} 1"#,
        r#"messagekit_database_up{database="shop"} 1"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing:\n{text}");
    }

    let broker = r#"consumer="billing",topic="orders.order"}"#;
    assert!(!text.contains(broker), "the end of a broker's topic is not known:\n{text}");

    let age = text.lines().find_map(|line| {
        line.strip_prefix(r#"messagekit_failed_message_oldest_seconds{database="shop",consumer="billing"} "#)
    });
    let age: f64 = age.expect("an age").parse().unwrap();
    assert!((60.0..120.0).contains(&age), "{age}");

    metrics.failed_messages("shop", &[total("billing", FailedMessageState::Dead, 2)]);
    metrics.consumer_statuses("shop", &[ConsumerStatus { oldest_failed_at: None, ..waiting("stock", 0) }]);
    let text = text_of(&registry);
    assert!(!text.contains(r#"retries_due{database="shop",consumer="billing"}"#), "{text}");
    let none = r#"messagekit_failed_message_oldest_seconds{database="shop",consumer="stock"} 0"#;
    assert!(text.lines().any(|line| line == none), "{text}");
    assert!(text.contains(r#"state="dead"} 2"#) && !text.contains("retry_scheduled"), "{text}");

    let mut uncounted = lag;
    uncounted.add_unread(LagPart::Pending, "statement timeout".to_owned());
    metrics.outbox("shop", &uncounted);
    let text = text_of(&registry);
    assert!(text.contains("outbox_slot_bytes{") && !text.contains("outbox_pending{"), "{text}");
    metrics.outbox_unknown("shop");
    let text = text_of(&registry);
    assert!(text.contains(r#"messagekit_database_up{database="shop"} 1"#), "{text}");
    assert!(!text.contains("outbox_slot_bytes{") && text.contains("failed_messages{"), "{text}");

    metrics.unreachable("shop");
    let text = text_of(&registry);
    assert!(text.contains(r#"messagekit_database_up{database="shop"} 0"#), "{text}");
    assert!(!text.contains("outbox_pending{") && !text.contains("failed_messages{"), "{text}");
}

/// Ends the runs of [`wait`].
static END: Semaphore = Semaphore::const_new(0);

async fn wait(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    if let Ok(permit) = END.acquire().await {
        permit.forget();
    }
    Ok(())
}

#[tokio::test]
async fn runs_in_flight_sizes_and_assignments_are_shown() {
    let log = MemoryLog::new(3);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".to_owned() }).await.unwrap();
    outbox.commit(tx).await.unwrap();
    let billing = Consumer::builder("billing", store).from(log.topics(["orders.order"])).on(wait);
    let billing = billing.build().unwrap();
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().consumer("billing", billing.stats());
    let shutdown = Shutdown::new();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    let shows = |name: &str, value: usize| {
        let line = format!(r#"messagekit_consumer_{name}{{consumer="billing"}} {value}"#);
        text_of(&registry).lines().any(|known| known == line)
    };
    eventually("a handler runs", DEADLINE, async || shows("handlers_in_flight", 1)).await;
    assert!(shows("assignments_total", 3) && shows("message_bytes_count", 0), "{}", text_of(&registry));
    END.add_permits(1);
    eventually("the handler has ended", DEADLINE, async || shows("handlers_in_flight", 0)).await;
    let bytes = log.records("orders.order")[0].message.payload.len();
    assert!(shows("message_bytes_count", 1) && shows("message_bytes_sum", bytes), "{}", text_of(&registry));
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// Returns the statistics of a running consumer that has read its lag.
async fn lagging() -> Result<messagekit::Stats, messagekit::Error> {
    let log = MemoryLog::new(1);
    log.publish(&[Message::new("orders.order", "{}")]).await;
    let gate = TestGate::new();
    gate.close();
    let billing =
        Consumer::builder("billing", MemoryStore::new()).from(log.topics(["orders.order"])).on(bill);
    let billing = billing.gate(gate).build()?;
    let stats = billing.stats();
    tokio::spawn(billing.run(std::future::pending::<()>()));
    eventually("lag is read", DEADLINE, async || stats.lag().iter().any(|lag| lag.messages == 1)).await;
    Ok(stats)
}

#[tokio::test]
async fn lag_is_shown_by_partition_until_the_run_ends() {
    let log = MemoryLog::new(2);
    let gate = TestGate::new();
    gate.close();
    let store = MemoryStore::new();
    let billing = Consumer::builder("billing", store).from(log.topics(["orders.order"])).on(bill);
    let billing = billing.gate(gate.clone()).build().unwrap();
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().consumer("billing", billing.stats());
    let batch = ["o-1", "o-2", "o-3"].map(|text| Message::new("orders.order", text).with_key("k"));
    log.publish(&batch).await;
    let shutdown = Shutdown::new();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    let sum = |family: &str| {
        let prefix = format!(r#"{family}{{consumer="billing",topic="orders.order",partition=""#);
        let values = text_of(&registry);
        let values = values.lines().filter(|line| line.starts_with(&prefix));
        values.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).collect::<Vec<_>>()
    };
    let is = |expected: f64| {
        let lag = sum("messagekit_consumer_lag");
        lag.len() == 2 && lag.iter().sum::<f64>() == expected
    };
    eventually("the held-back messages are lag", DEADLINE, async || is(3.0)).await;
    assert!(sum("messagekit_consumer_lag_seconds").iter().any(|seconds| *seconds > 0.0));
    gate.open();
    eventually("settled messages are no lag", DEADLINE, async || is(0.0)).await;
    assert_eq!(sum("messagekit_consumer_lag_seconds"), [0.0, 0.0]);
    shutdown.request();
    running.await.unwrap().unwrap();
    assert!(sum("messagekit_consumer_lag").is_empty(), "{}", text_of(&registry));
}

/// A telemetry library that has lost spans.
#[derive(Debug)]
struct Exported;

impl Telemetry for Exported {
    fn current(&self) -> Option<TraceContext> {
        None
    }

    fn context(&self, _: &Span) -> Option<TraceContext> {
        None
    }

    fn remote(&self, _: &TraceContext) -> Option<Box<dyn RemoteContext>> {
        None
    }

    fn set_parent(&self, _: &Span, _: &TraceContext) {}

    fn link(&self, _: &Span, _: &TraceContext) {}

    fn spans(&self) -> SpanCounts {
        SpanCounts { exported: 90, failed: 7, dropped: 3 }
    }
}

#[tokio::test]
async fn every_name_is_registered_once() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let bridge = metrics.bridge("shop");
    bridge.forwarded("orders").inc();
    bridge.returned("orders").inc();
    bridge.dead_lettered("unroutable").inc();
    bridge.confirm_seconds.observe(0.01);
    metrics.relay("shop", messagekit::relay::Stats::default());
    let mut gates = Gates::default();
    gates.push(RateLimit::per_second(1));
    metrics.gates("shop", gates.states());
    metrics.kept("orders.dead", "rejected").inc();
    metrics.request("GET", "/api/v1/dlq", 200, Duration::from_millis(3));
    metrics.outbox("shop", &OutboxLag { slot_bytes: Some(1), ..OutboxLag::default() });
    metrics.failed_messages("shop", &[total("billing", FailedMessageState::Dead, 1)]);
    metrics.consumer_statuses("shop", &[waiting("billing", 1)]);
    metrics.source_states("shop", &[source(None)]);
    let stats = lagging().await.unwrap();
    metrics.consumer("billing", stats);
    let log = MemoryLog::new(1);
    log.publish(&[Message::new("orders.order", "{}")]).await;
    let orders = OrderedReader::builder().source(Arc::new(log), "orders.order", Start::Earliest);
    metrics.ordered_reader("report", orders.stats());
    let _reader = orders.open().await.unwrap();
    set_telemetry(Exported).unwrap();

    let mut shown: Vec<String> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
    let mut known = names::ALL.map(str::to_owned).to_vec();
    shown.sort();
    known.sort();
    assert_eq!(shown, known);
    assert!(text_of(&registry).contains(r#"messagekit_telemetry_spans_total{outcome="dropped"} 3"#));
    assert!(
        text_of(&registry)
            .contains(r#"messagekit_bridge_forwarded_total{bridge="shop",exchange="orders"} 1"#)
    );

    let again = Metrics::new(&registry).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidConfiguration);
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_shows_its_state_and_how_long_it_was_closed() {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".to_owned() }).await.unwrap();
    outbox.commit(tx).await.unwrap();
    let gate = TestGate::new();
    gate.close();
    let billing = Consumer::builder("billing", store).from(log.topics(["orders.order"])).on(bill);
    let billing = billing.gate(RateLimit::per_second(100)).gate(gate.clone()).build().unwrap();
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().consumer("billing", billing.stats());
    let (stats, shutdown) = (billing.stats(), Shutdown::new());
    let running = tokio::spawn(billing.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(300)).await;
    let shows = |lines: [&str; 2]| {
        let text = text_of(&registry);
        lines.iter().for_each(|line| assert!(text.contains(line), "{line} in {text}"));
    };
    shows([
        r#"messagekit_gate_state{consumer="billing",gate="rate_limit"} 0"#,
        r#"messagekit_gate_state{consumer="billing",gate="test"} 2"#,
    ]);
    gate.open();
    while stats.read().handled == 0 {
        tokio::task::yield_now().await;
    }
    shows([
        r#"messagekit_gate_state{consumer="billing",gate="test"} 0"#,
        r#"messagekit_gate_wait_seconds_total{consumer="billing",gate="test"} 300"#,
    ]);
    shutdown.request();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_relay_shows_its_counts_and_owns_no_shards_after_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteStore::options().relayed_topics(["orders.order"]);
    let store = options.open(folder.path().join("shop.db")).await.unwrap();
    let relay =
        Relay::builder("orders-relay").reader(Arc::new(store.clone())).to(Arc::new(MemoryLog::new(1)));
    let relay = relay.gate(RateLimit::per_second(1_000)).build().unwrap();
    let registry = Registry::new();
    Metrics::new(&registry).unwrap().relay("orders-relay", relay.stats());
    let (stats, shutdown) = (relay.stats(), Shutdown::new());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    let outbox = Outbox::new(store.clone(), "order-service").unwrap();
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".to_owned() }).await.unwrap();
    outbox.commit(tx).await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(120);
    while stats.read().published == 0 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", stats.read());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let shows = |lines: &[&str]| {
        let text = text_of(&registry);
        lines.iter().for_each(|line| assert!(text.lines().any(|known| known == *line), "{line} in {text}"));
    };
    let counts = [
        r#"messagekit_relay_published_total{relay="orders-relay"} 1"#,
        r#"messagekit_gate_state{consumer="orders-relay",gate="rate_limit"} 0"#,
        r#"messagekit_relay_rejected_total{relay="orders-relay"} 0"#,
        r#"messagekit_relay_paused_topics{relay="orders-relay"} 0"#,
        r#"messagekit_relay_publish_seconds_count{relay="orders-relay"} 1"#,
    ];
    shows(&counts);
    shows(&[r#"messagekit_relay_shards{relay="orders-relay"} 64"#]);
    // Dropped, as a program drops it that ends another way than by a shutdown.
    running.abort();
    let _ = running.await;
    shows(&counts);
    shows(&[r#"messagekit_relay_shards{relay="orders-relay"} 0"#]);
}
