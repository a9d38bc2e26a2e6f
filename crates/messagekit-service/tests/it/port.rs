//! Health, metrics and routes of a service.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use messagekit::relay::Relay;
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::eventually;
use prometheus::IntCounter;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_metrics_and_routes_answer_on_one_port() {
    let (store, consumer, _) = billing(1);
    let service = service();
    let printed = IntCounter::new("bills_printed_total", "Bills that were printed").expect("a name");
    service.registry().register(Box::new(printed.clone())).expect("a new name");
    printed.inc();
    let service = service
        .store("billing", store.clone())
        .consumer(consumer)
        .routes(Router::new().route("/bills", get(async || "none yet")))
        .health(|health| health.connection("printer", || Some("out of paper".to_owned())));
    let running = started(service).await;
    assert!(running.page("/health/live").await.contains("healthy"));
    assert_eq!(running.page("/bills").await, "none yet");
    place(&store, "o-1").await;
    let handled = r#"messagekit_consumer_handled_total{consumer="billing",outcome="handled"} 1"#;
    eventually("the bill in the metrics", DEADLINE, async || {
        running.page("/metrics").await.contains(handled)
    })
    .await;
    assert!(running.page("/metrics").await.contains("bills_printed_total 1"));
    let (status, ready) = running.get("/health/ready").await.expect("an answer");
    assert_eq!(status, 503, "{ready}");
    assert!(ready.contains("out of paper") && ready.contains(r#""consumer":"billing""#), "{ready}");
    running.stop().await.expect("a clean stop");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_publishes_with_health_and_metrics_under_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let relayed = SqliteStore::options().relayed_topics(["orders.order"]);
    let shop = relayed.open(folder.path().join("shop.db")).await.expect("a file");
    let broker = SqliteStore::open(folder.path().join("broker.db")).await.expect("a file");
    let relay = Relay::builder("shop").reader(Arc::new(shop.clone())).to(Arc::new(broker.publisher()));
    let service = service().store("shop", shop.clone()).relay(relay.build().expect("it is complete"));
    let running = started(service).await;
    place(&shop, "o-1").await;
    let published = r#"messagekit_relay_published_total{relay="shop"} 1"#;
    eventually("the event in the metrics", DEADLINE, async || {
        running.page("/metrics").await.contains(published)
    })
    .await;
    assert!(running.page("/health/ready").await.contains(r#""relay":"shop""#));
    running.stop().await.expect("a clean stop");
}
