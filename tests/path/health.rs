//! What the admin says of an outbox whose connector is gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use messagekit_testkit::{DEADLINE, eventually, unique};
use messagekit_tests::Database;
use messagekit_tests::services::Service;
use serde_json::Value;

use crate::cdc::Connector;
use crate::desk::{Desk, Operator};
use crate::down::Down;
use crate::orders::is_full;
use crate::{broker, turn};

/// How long events have been going out before: two checkpoints lie in that time.
const WARM_UP: Duration = Duration::from_secs(22);
/// The time between two orders.
const PACE: Duration = Duration::from_millis(20);

/// How long the connector is away. The short form ends where a connector that restarts would be back: half a minute.
fn outage() -> Duration {
    Duration::from_secs(if is_full() { 60 } else { 36 })
}

/// Somebody who writes orders at a steady rate.
struct Writer {
    written: Arc<AtomicI64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    async fn start(database: &Database, topic: &str) -> Self {
        let (written, stop) = (Arc::<AtomicI64>::default(), Arc::<AtomicBool>::default());
        let (count, stopped, topic) = (written.clone(), stop.clone(), topic.to_owned());
        let mut connection = database.connection().await;
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            while !stopped.load(Ordering::Relaxed) {
                pace.tick().await;
                let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
                    VALUES ($1::text, $2, 'key', decode(repeat('2a', 300), 'hex'))";
                let number = count.load(Ordering::Relaxed) + 1;
                let order = sqlx::query(insert).bind(format!("o-{number}")).bind(&topic);
                order.execute(&mut connection).await.unwrap();
                count.store(number, Ordering::Relaxed);
            }
        });
        Self { written, stop, task }
    }

    fn written(&self) -> i64 {
        self.written.load(Ordering::Relaxed)
    }

    async fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.written.load(Ordering::Relaxed)
    }
}

fn arrived(topic: &str) -> Option<i64> {
    broker::ends(topic).map(|ends| ends.iter().sum())
}

/// Returns the status and what is said of the outbox, whether it is well or not.
fn look(ann: &Operator) -> (u16, Value) {
    let (status, body) = ann.get("/health/outbox");
    assert_eq!(body["databases"][0]["database"], "shop", "{body}");
    (status, body)
}

fn pending(body: &Value) -> i64 {
    body["checks"]["outbox"]["pending_count"].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_connector_is_told_and_what_waits_is_counted_to_a_tenth() {
    let _turn = turn::alone().await;
    let (database, topic) = (Database::fresh().await, unique("health"));
    broker::wipe(&[(&topic, 1)], &[]).await;
    let _connector = Connector::apply(&database);
    let desk = Desk::open(&database, &["ann"]);
    let ann = desk.operator("ann");
    let writer = Writer::start(&database, &topic).await;
    // How long a rate has been steady is what the figure stands on.
    tokio::time::sleep(WARM_UP).await;
    eventually("events arrive, and all is well", DEADLINE, async || {
        arrived(&topic).is_some_and(|arrived| arrived > 100) && look(&ann).0 == 200
    })
    .await;

    let down = Down::kill(Service::Connect);
    let left = arrived(&topic).expect("the broker answers");
    let since = Instant::now();
    // How long it is away is what is tried here.
    tokio::time::sleep(outage()).await;
    let before = writer.written() - left;
    let (status, body) = look(&ann);
    let after = writer.written() - left;
    println!(
        "health: connector dead for {:.1?}: {status}, {} pending of {before} to {after} that wait, {body}",
        since.elapsed(),
        pending(&body)
    );
    assert_eq!((status, body["status"].as_str()), (503, Some("degraded")), "{body}");
    let problems = body["checks"]["outbox"]["problems"].as_array().unwrap();
    assert!(
        problems.iter().any(|problem| problem.as_str().unwrap().contains("nobody reads the slot")),
        "{body}"
    );
    let tenth = before / 10;
    assert!(
        (before - tenth..=after + tenth).contains(&pending(&body)),
        "{} of {before}: {body}",
        pending(&body)
    );
    let age = body["checks"]["outbox"]["oldest_event_age_seconds"].as_f64().unwrap();
    assert!(age >= outage().as_secs_f64() * 0.9, "{body}");

    down.start();
    eventually("the connector reads again, and all is well", 2 * DEADLINE, async || look(&ann).0 == 200)
        .await;
    let written = writer.stop().await;
    eventually("everything has arrived, and nothing waits", 2 * DEADLINE, async || {
        let (status, body) = look(&ann);
        arrived(&topic).is_some_and(|arrived| arrived >= written) && status == 200 && pending(&body) == 0
    })
    .await;
}
