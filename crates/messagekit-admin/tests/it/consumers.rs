//! The state of consumers in the health of a service.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{
    BoxFuture, Capabilities, NextOffset, Publisher, RetentionProbe, Source, TopicRetention,
};
use messagekit::{
    Consumer, ConsumerBuilder, Error, ErrorKind, HandlerError, Message, OnFailure, Shutdown, Stats, headers,
};
use messagekit_admin::{Health, HealthLimits};
use messagekit_memory::{MemoryLog, MemorySource, MemoryStore, MemoryTx, TestGate};
use serde_json::{Value, json};

use crate::ask::{asked, until};

/// Returns some of the fields.
fn with(document: &Value, fields: &[&str]) -> Value {
    fields
        .iter()
        .map(|name| ((*name).to_owned(), document[*name].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn of_billing(stats: Stats) -> axum::Router {
    Health::new().consumer("billing", stats).router()
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_is_named_and_changes_no_status() {
    let (log, store, gate) = (MemoryLog::new(1), MemoryStore::new(), TestGate::new());
    gate.close();
    let billing = billing_on(store, log.topics(["orders.order"])).gate(gate.clone()).build().unwrap();
    let (stats, shutdown) = (billing.stats(), Shutdown::new());
    let app = of_billing(stats.clone());
    let is_free = async || asked(&app).await.1["consumers"][0].get("held_back_by").is_none();
    assert!(is_free().await, "nothing waits for the gate");

    let running = tokio::spawn(billing.run(shutdown.clone()));
    let placed = Message::new("orders.order", "{}")
        .with_header(headers::ID, "m-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    log.publish(&[placed]).await[0].as_ref().unwrap();
    until("it is held back", async || !is_free().await).await;
    tokio::time::sleep(Duration::from_secs(300)).await;
    let (status, ready) = asked(&app).await;
    let billing = &ready["consumers"][0];
    assert_eq!((status, &ready["status"], &billing["status"]), (200, &json!("healthy"), &json!("healthy")));
    assert_eq!(billing["held_back_by"], json!({"gate": "test", "seconds": 300}));
    assert_eq!(billing.get("error"), None);

    gate.open();
    until("it is handled", async || stats.read().handled == 1).await;
    let (_, ready) = asked(&app).await;
    let expected = json!({"consumer": "billing", "status": "healthy", "lanes": 1});
    assert_eq!(with(&ready["consumers"][0], &["consumer", "status", "lanes"]), expected);
    assert!(is_free().await);
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// A gate holds the consumer back for longer than its limits allow; when it opens, nothing is left to look at.
#[tokio::test(start_paused = true)]
async fn a_consumer_too_far_behind_is_degraded_and_stays_ready() {
    let (log, store, gate) = (MemoryLog::new(1), MemoryStore::new(), TestGate::new());
    gate.close();
    let billing = billing_on(store, log.topics(["orders.order"])).gate(gate.clone()).build().unwrap();
    let limits = HealthLimits::new().consumer_lag(1, Duration::from_secs(86_400));
    let app = Health::new().consumer("billing", billing.stats()).limits(limits).router();
    let placed = Message::new("orders.order", "{}").with_header(headers::EVENT_TYPE, "orders.order.placed");
    let two = ["m-1", "m-2"].map(|id| placed.clone().with_header(headers::ID, id));
    log.publish(&two).await.into_iter().for_each(|published| published.unwrap());
    let shutdown = Shutdown::new();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    let finding = async || asked(&app).await.1["consumers"][0]["findings"][0].clone();
    until("it is too far behind", async || finding().await.is_string()).await;
    let (status, ready) = asked(&app).await;
    let expected = (200, &json!("degraded"), &json!("degraded"));
    assert_eq!((status, &ready["status"], &ready["consumers"][0]["status"]), expected);
    assert_eq!(finding().await, "it is 2 messages behind, more than the limit of 1");
    gate.open();
    until("it has caught up", async || finding().await.is_null()).await;
    assert_eq!(asked(&app).await.1["status"], "healthy");
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// A source that never binds.
struct Refusing(MemorySource);

impl Source for Refusing {
    type Subscriber = <MemorySource as Source>::Subscriber;

    fn capabilities(&self) -> Capabilities {
        self.0.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.0.topics()
    }

    async fn bind(self, _: &str, _: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        Err(Error::new(ErrorKind::InvalidConfiguration, "the group is another's"))
    }
}

fn billing_on<Src: Source>(store: MemoryStore, source: Src) -> ConsumerBuilder<MemoryStore, Src> {
    let billing = Consumer::builder("billing", store).from(source);
    billing.on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
}

fn billing<Src: Source>(source: Src) -> Consumer<MemoryStore, Src> {
    billing_on(MemoryStore::new(), source).build().unwrap()
}

async fn ended(app: &axum::Router) -> String {
    let (status, ready) = asked(app).await;
    assert_eq!((status, &ready["status"]), (503, &json!("unhealthy")));
    ready["consumers"][0]["error"].as_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_has_ended_is_503_with_the_reason() {
    let log = MemoryLog::new(1);
    log.publish(&[Message::new("orders.order", "{}")]).await[0].as_ref().unwrap();
    let topics = || log.topics(["orders.order"]);
    let refused = billing(Refusing(topics()));
    let app = of_billing(refused.stats());
    assert_eq!(asked(&app).await.0, 200, "it has not begun");
    refused.run(Shutdown::new()).await.unwrap_err();
    assert_eq!(ended(&app).await, "its run has ended: the group is another's");

    for (stops, how) in [(true, "stopped"), (false, "dropped, or a panic")] {
        let (billing, shutdown) = (billing(topics()), Shutdown::new());
        let (stats, app) = (billing.stats(), of_billing(billing.stats()));
        let running = tokio::spawn(billing.run(shutdown.clone()));
        until("it runs", async || stats.connection().lanes == 1).await;
        assert_eq!(asked(&app).await.0, 200);
        match stops {
            true => shutdown.request(),
            false => running.abort(),
        }
        assert_eq!(running.await.is_ok(), stops);
        assert_eq!(ended(&app).await, format!("its run has ended: {how}"));
    }
}

#[tokio::test(start_paused = true)]
async fn blocked_partitions_are_counted_and_change_no_status() {
    let log = MemoryLog::new(2);
    let billing = Consumer::builder("billing", MemoryStore::new())
        .from(log.topics(["orders.order"]))
        .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| {
            Err(HandlerError::permanent("no"))
        })
        .on_failure(OnFailure::Block)
        .build()
        .unwrap();
    let (stats, shutdown) = (billing.stats(), Shutdown::new());
    let app = of_billing(stats.clone());
    let running = tokio::spawn(billing.run(shutdown.clone()));
    let placed = Message::new("orders.order", "{}")
        .with_header(headers::ID, "m-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    log.publish(&[placed]).await[0].as_ref().unwrap();
    until("it is blocked", async || stats.connection().blocked == 1).await;
    let (status, ready) = asked(&app).await;
    assert_eq!(status, 200);
    let names = ["orders.order/0"];
    let billing = with(&ready["consumers"][0], &["status", "lanes", "blocked", "blocked_lanes"]);
    assert_eq!(billing, json!({"status": "healthy", "lanes": 2, "blocked": 1, "blocked_lanes": names}));
    shutdown.request();
    running.await.unwrap().unwrap();
}

/// Topics with a retention that the test sets.
struct Keeping {
    source: MemorySource,
    kept: Arc<Mutex<Duration>>,
}

struct Told(Arc<Mutex<Duration>>);

impl RetentionProbe for Told {
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>> {
        let time = *self.0.lock().unwrap();
        Box::pin(async move { Ok(vec![TopicRetention { topic: "orders.order".into(), time: Some(time) }]) })
    }
}

impl Source for Keeping {
    type Subscriber = <MemorySource as Source>::Subscriber;

    fn capabilities(&self) -> Capabilities {
        self.source.capabilities()
    }

    fn topics(&self) -> &[Arc<str>] {
        self.source.topics()
    }

    fn retention(&self) -> Option<Arc<dyn RetentionProbe>> {
        Some(Arc::new(Told(Arc::clone(&self.kept))))
    }

    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<Self::Subscriber, Error> {
        self.source.bind(consumer, remembered).await
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A consumer checks the retention once an hour.
const LOOK: Duration = Duration::from_secs(61 * 60);

#[tokio::test(start_paused = true)]
async fn short_dedup_window_is_a_finding_and_stays_ready() {
    let (log, kept) = (MemoryLog::new(1), Arc::new(Mutex::new(30 * DAY)));
    let source = Keeping { source: log.topics(["orders.order"]), kept: Arc::clone(&kept) };
    let billing = Consumer::builder("billing", MemoryStore::new())
        .from(source)
        .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
        .dedup_window(30 * DAY)
        .build()
        .unwrap();
    let app = of_billing(billing.stats());
    let shutdown = Shutdown::new();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    for (time, is_short) in [(30, false), (31, true), (30, false), (90, true), (7, false)] {
        *kept.lock().unwrap() = time * DAY;
        tokio::time::sleep(LOOK).await;
        let (status, ready) = asked(&app).await;
        assert_eq!(status, 200, "{time} days: {ready}");
        let billing = &ready["consumers"][0];
        let well = if is_short { "degraded" } else { "healthy" };
        assert_eq!((&ready["status"], &billing["status"]), (&json!(well), &json!(well)));
        assert!(billing["error"].is_null(), "{ready}");
        let reason = format!("shorter than topic orders.order keeps records (for {time} days)");
        match is_short {
            false => assert!(billing["findings"].is_null(), "{ready}"),
            true => {
                assert!(billing["findings"][0].as_str().unwrap().contains(&reason), "{reason} in {ready}");
            }
        }
    }
    shutdown.request();
    running.await.unwrap().unwrap();
}
