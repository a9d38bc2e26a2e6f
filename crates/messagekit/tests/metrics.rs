//! Prometheus metrics.

use std::time::Duration;

use messagekit::memory::{MemoryLog, MemoryStore, MemoryTx};
use messagekit::metrics::{Metrics, names, text as text_of};
use messagekit::operations::{FailedMessageState, FailedMessageTotal, OutboxLag};
use messagekit::{Consumer, Envelope, ErrorKind, Event, HandlerError, Outbox, Shutdown, Store};
use prometheus::Registry;
use serde::{Deserialize, Serialize};

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
    let outbox = Outbox::new(store.clone(), "order-service");
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
        metrics.watch("billing", billing.stats());
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

#[test]
fn what_was_counted_before_does_not_stay() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let lag = OutboxLag {
        pending: 7,
        overdue: 5,
        oldest: Some(Duration::from_millis(12_500)),
        problems: Vec::new(),
    };
    metrics.outbox("shop", &lag);
    metrics.failed_messages(
        "shop",
        &[
            total("billing", FailedMessageState::Dead, 3),
            total("billing", FailedMessageState::RetryScheduled, 1),
        ],
    );
    let text = text_of(&registry);
    for line in [
        r#"messagekit_outbox_pending{database="shop"} 7"#,
        r#"messagekit_outbox_overdue{database="shop"} 5"#,
        r#"messagekit_outbox_oldest_seconds{database="shop"} 12.5"#,
        r#"messagekit_failed_messages{database="shop",consumer="billing",state="dead"} 3"#,
        r#"messagekit_failed_messages{database="shop",consumer="billing",state="retry_scheduled"} 1"#,
        r#"messagekit_database_up{database="shop"} 1"#,
    ] {
        assert!(text.lines().any(|known| known == line), "{line} is missing:\n{text}");
    }

    metrics.failed_messages("shop", &[total("billing", FailedMessageState::Dead, 2)]);
    let text = text_of(&registry);
    assert!(text.contains(r#"state="dead"} 2"#) && !text.contains("retry_scheduled"), "{text}");

    metrics.unreachable("shop");
    let text = text_of(&registry);
    assert!(text.contains(r#"messagekit_database_up{database="shop"} 0"#), "{text}");
    assert!(!text.contains("outbox_pending{") && !text.contains("failed_messages{"), "{text}");
}

#[test]
fn every_name_is_registered_once() {
    let registry = Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let bridge = metrics.bridge("shop");
    bridge.forwarded("orders").inc();
    bridge.returned("orders").inc();
    bridge.dead_lettered("unroutable").inc();
    bridge.confirm_seconds.observe(0.01);
    metrics.relay("shop").published.inc();
    metrics.gate_state("shop", "rate_limit").set(2);
    metrics.gate_wait("shop", "rate_limit").inc_by(0.5);
    metrics.kept("orders.dead", "rejected").inc();
    metrics.request("GET", "/api/v1/dlq", 200, Duration::from_millis(3));
    metrics.outbox("shop", &OutboxLag { pending: 0, overdue: 0, oldest: None, problems: Vec::new() });
    metrics.failed_messages("shop", &[total("billing", FailedMessageState::Dead, 1)]);
    metrics.watch("billing", messagekit::Stats::default());

    let mut shown: Vec<String> = registry.gather().iter().map(|family| family.name().to_owned()).collect();
    let mut known = names::ALL.map(str::to_owned).to_vec();
    shown.sort();
    known.sort();
    assert_eq!(shown, known);
    assert!(
        text_of(&registry)
            .contains(r#"messagekit_bridge_forwarded_total{bridge="shop",exchange="orders"} 1"#)
    );

    let again = Metrics::new(&registry).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::InvalidConfiguration);
}
