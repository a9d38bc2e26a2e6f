//! The admin's report on an outbox whose connector is gone.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use messagekit_testkit::{eventually, unique};
use messagekit_tests::services::Service;
use messagekit_tests::{Caller, Database};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::time::MissedTickBehavior;

use crate::billing::PATIENCE;
use crate::cdc::Connector;
use crate::console::Console;
use crate::down::Down;
use crate::{broker, turn};

/// The number of recorded checkpoints before the connector is killed: later events are measured by them.
const CHECKPOINTS: i64 = 3;
/// The time between two orders.
const PACE: Duration = Duration::from_millis(20);

/// Returns how long the connector is away. The short form is as long as it takes to notice.
fn outage() -> Duration {
    if messagekit_tests::is_full() { Duration::from_secs(60) } else { Duration::ZERO }
}

/// The number of waiting events that makes a tenth of them mean something.
const WAITING: i64 = 200;

/// A writer of orders at a steady rate.
struct Writer {
    /// The time of each order, and the position of the database's log after it.
    written: Arc<Mutex<Vec<(Instant, i64)>>>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<()>,
}

impl Writer {
    async fn start(database: &Database, topic: &str) -> Self {
        let (written, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let (orders, stopped, topic) = (written.clone(), stop.clone(), topic.to_owned());
        let mut connection = database.connection().await;
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            // A stalled machine writes nothing for a while; the rate stays the same.
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut number = 0;
            while !stopped.load(Ordering::Relaxed) {
                pace.tick().await;
                let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload)
                    VALUES ($1::text, $2, 'key', decode(repeat('2a', 300), 'hex'))";
                number += 1;
                let order = sqlx::query(insert).bind(format!("o-{number}")).bind(&topic);
                let began = Instant::now();
                order.execute(&mut connection).await.unwrap();
                let position = position(&mut connection, "pg_current_wal_insert_lsn()").await;
                orders.lock().unwrap().push((began, position));
            }
        });
        Self { written, stop, task }
    }

    /// Returns how many orders were written after a position of the log, and the time of the first of them.
    fn behind(&self, position: i64) -> (i64, Option<Instant>) {
        let orders = self.written.lock().unwrap();
        let first = orders.partition_point(|(_, at)| *at <= position);
        ((orders.len() - first) as i64, orders.get(first).map(|(when, _)| *when))
    }

    async fn stop(self) -> i64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap();
        self.written.lock().unwrap().len() as i64
    }
}

/// Returns a position of the database's log as a number.
async fn position(connection: &mut PgConnection, place: &str) -> i64 {
    let sql = AssertSqlSafe(format!("SELECT ({place} - '0/0'::pg_lsn)::bigint"));
    sqlx::query_scalar(sql).fetch_one(connection).await.unwrap()
}

fn arrived(topic: &str) -> Option<i64> {
    broker::ends(topic).map(|ends| ends.iter().sum())
}

/// Returns the status and the report on the outbox, healthy or not.
fn look(ann: &Caller) -> (u16, Value) {
    let (status, body) = ann.get("/health/outbox");
    assert_eq!(body["databases"][0]["database"], "shop", "{body}");
    (status, body)
}

fn pending(body: &Value) -> i64 {
    body["checks"]["outbox"]["pending_count"].as_i64().expect("a number")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_connector_degrades_health_and_lag_is_exact_to_a_tenth() {
    let _turn = turn::alone();
    let (database, topic) = (Database::fresh().await, unique("health"));
    broker::make(&[(&topic, 1)]).await;
    let _connector = Connector::apply(&database);
    let console = Console::open(&database, &["ann"]);
    let ann = console.operator("ann");
    let writer = Writer::start(&database, &topic).await;
    let mut database = database.connection().await;
    eventually("events arrive, and all is well", PATIENCE, async || {
        let noted = "SELECT count(*) FROM messagekit.outbox_checkpoints";
        let noted: i64 = sqlx::query_scalar(noted).fetch_one(&mut database).await.unwrap();
        noted >= CHECKPOINTS && arrived(&topic).is_some_and(|arrived| arrived > 100) && look(&ann).0 == 200
    })
    .await;

    let down = Down::kill(Service::Connect);
    let since = Instant::now();
    eventually("it is noticed, and events wait", PATIENCE, async || {
        let (status, body) = look(&ann);
        status == 503 && pending(&body) > WAITING && since.elapsed() >= outage()
    })
    .await;
    // Events that it had sent and not confirmed wait as well: they are sent again.
    let confirmed =
        "(SELECT confirmed_flush_lsn FROM pg_replication_slots WHERE database = current_database())";
    let confirmed = position(&mut database, confirmed).await;
    let (before, oldest) = writer.behind(confirmed);
    let waits_since = oldest.expect("something waits").elapsed();
    let (status, body) = look(&ann);
    let (after, _) = writer.behind(confirmed);
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
    assert!(age >= waits_since.as_secs_f64() * 0.9, "{waits_since:?}: {body}");

    down.start();
    eventually("the connector reads again, and all is well", PATIENCE, async || look(&ann).0 == 200).await;
    let written = writer.stop().await;
    eventually("everything has arrived, and nothing waits", PATIENCE, async || {
        let (status, body) = look(&ann);
        arrived(&topic).is_some_and(|arrived| arrived >= written) && status == 200 && pending(&body) == 0
    })
    .await;
}
