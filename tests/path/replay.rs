//! Old events are published again: ordered over HTTP, through the connector as the first time.

use std::collections::BTreeMap;
use std::time::Instant;

use messagekit_testkit::{DEADLINE, eventually, unique};
use messagekit_tests::{Caller, Database, locks};
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};

use crate::billing::PATIENCE;
use crate::broker::{self, Raw};
use crate::cdc::Connector;
use crate::console::Console;
use crate::turn;

/// The number of events before the range, in it and after it.
const EVENTS: [i64; 3] = [300, 1_500, 300];
/// The number of republications per second with a limit, and so per transaction.
const PACE: i64 = 250;

/// An outbox whose events have all arrived at Kafka.
struct Published {
    // The admin stops before the connector: fields are dropped in this order.
    console: Console,
    _connector: Connector,
    database: Database,
    topic: String,
    /// The times of the first and the last event of the range.
    range: (String, String),
}

impl Published {
    async fn open() -> Self {
        let database = Database::fresh().await;
        let connector = Connector::apply(&database);
        let console = Console::open(&database, &["ann"]);
        let topic = unique("replay");
        // A burst to a topic that is just being created may block the connector's producer permanently.
        broker::make(&[(&topic, 8)]).await;
        let mut connection = database.connection().await;
        let mut range = (String::new(), String::new());
        for (part, events) in EVENTS.into_iter().enumerate() {
            // Bytes that every decoder would change, and optional fields that some events lack.
            let insert = "WITH written AS (
                INSERT INTO messagekit.outbox_events
                    (event_id, topic, aggregate_id, event_type, payload, content_type, headers, traceparent, occurred_at)
                SELECT $1 || '-' || n, $2, CASE WHEN n % 10 > 0 THEN 'key-ü-' || n % 37 END, 'orders.order.placed',
                    convert_to('{\"n\": ' || n || '.10}', 'UTF8') || '\\x00ff0a', CASE WHEN n % 3 > 0 THEN 'application/json' END,
                    CASE WHEN n % 4 > 0 THEN jsonb_build_object('tenant', 'north', 'n', n::text) END,
                    CASE WHEN n % 5 > 0 THEN '00-ab-' || n || '-01' END, now() - interval '1 day'
                FROM generate_series(1, $3) n RETURNING created_at)
                SELECT to_char(min(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                    to_char(max(created_at) AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM written";
            let written = sqlx::query_as(insert).bind(part.to_string()).bind(&topic).bind(events);
            let written: (String, String) = written.fetch_one(&mut connection).await.unwrap();
            if part == 1 {
                range = written;
            }
        }
        connection.close().await.unwrap();
        let published = Self { console, _connector: connector, database, topic, range };
        published.until_arrived(EVENTS.iter().sum()).await;
        published
    }

    async fn until_arrived(&self, records: i64) {
        eventually(&format!("{records} records have arrived"), PATIENCE, async || {
            broker::ends(&self.topic).is_some_and(|ends| ends.iter().sum::<i64>() >= records)
        })
        .await;
    }

    /// Waits until the connector has captured the whole outbox: it reads in the order of the log.
    async fn until_captured(&self) -> Vec<Raw> {
        let last = unique("last");
        let mut connection = self.database.connection().await;
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, payload) VALUES ($1, $1, '')";
        sqlx::query(insert).bind(&last).execute(&mut connection).await.unwrap();
        eventually("the last event has arrived", PATIENCE, async || {
            broker::ends(&last).is_some_and(|ends| ends.iter().sum::<i64>() == 1)
        })
        .await;
        broker::read(&self.topic)
    }

    /// Orders a replay of the range and returns its URL path.
    fn order(&self, ann: &Caller, per_second: Option<i64>) -> String {
        let filter = json!({"from": self.range.0, "to": self.range.1});
        let (status, count) = ann.sends("/api/v1/replay/count", &json!({"filter": &filter}));
        assert_eq!((status, count["events"].as_i64()), (200, Some(EVENTS[1])), "{count}");
        let mut order = json!({"filter": filter});
        if let Some(pace) = per_second {
            order["per_second"] = pace.into();
        }
        let (status, job) = ann.sends("/api/v1/replay", &order);
        assert_eq!((status, job["events"].as_i64()), (202, Some(EVENTS[1])), "{job}");
        assert_eq!(job["ordered_by"], "ann");
        format!("/api/v1/replay/{}", job["id"])
    }
}

fn published(job: &Value) -> i64 {
    job["published"].as_i64().expect("a number")
}

/// Waits until every event of a replay is published.
async fn until_done(ann: &Caller, job: &str) {
    let mut last = 0;
    eventually("the replay is done", 2 * DEADLINE, async || {
        let now = ann.shows(job);
        assert!(published(&now) >= last, "progress goes back: {now}");
        last = published(&now);
        assert!(now["state"] == "running" || now["state"] == "done", "{now}");
        now["state"] == "done"
    })
    .await;
    assert_eq!(last, EVENTS[1]);
}

/// Asserts that every event of the range arrived again unchanged, no other event did, and each key's are in order.
/// Returns how many arrived more than twice.
fn compare(records: &[Raw]) -> usize {
    let mut by_id: BTreeMap<&str, Vec<&Raw>> = BTreeMap::new();
    let mut again: BTreeMap<(i32, Option<&[u8]>), Vec<&str>> = BTreeMap::new();
    let mut before = again.clone();
    for record in records {
        let copies = by_id.entry(record.id()).or_default();
        let key = (record.partition, record.key.as_deref());
        match copies.len() {
            0 if record.id().starts_with("1-") => before.entry(key).or_default().push(record.id()),
            1 => again.entry(key).or_default().push(record.id()),
            _ => {}
        }
        copies.push(record);
    }
    assert_eq!(by_id.len() as i64, EVENTS.iter().sum::<i64>());
    let mut repeated = 0;
    for (id, copies) in by_id {
        let first = copies[0];
        for copy in &copies[1..] {
            let same = Raw { offset: copy.offset, ..first.clone() };
            // Partition, key, payload and every header: id, type, content type, createdAt, trace, free ones.
            assert_eq!(**copy, same, "{id}");
        }
        assert!(first.header("createdAt").is_some(), "{first:?}");
        match id.starts_with("1-") {
            true => assert!(copies.len() >= 2, "{id} did not come again"),
            false => assert_eq!(copies.len(), 1, "{id} is outside of the range"),
        }
        repeated += copies.len().saturating_sub(2);
    }
    before.retain(|(_, key), _| key.is_some());
    again.retain(|(_, key), _| key.is_some());
    assert_eq!(again, before, "a key's events came again in another order");
    repeated
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_of_time_arrives_again_as_it_was() {
    let _turn = turn::together();
    let shop = Published::open().await;
    let ann = shop.console.operator("ann");
    let job = shop.order(&ann, None);
    until_done(&ann, &job).await;
    let records = shop.until_captured().await;
    assert_eq!(compare(&records), 0, "nothing was killed, and something came more than once more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_goes_on_where_it_stood_when_the_admin_is_killed() {
    let _turn = turn::together();
    let mut shop = Published::open().await;
    let ann = shop.console.operator("ann");
    // The test permits each step, so no kill comes too late.
    let mut gate = Gate::close(&shop.database).await;
    let job = shop.order(&ann, Some(PACE));
    for _ in 0..2 {
        gate = gate.let_a_step_pass(&shop.database, || published(&ann.shows(&job))).await;
    }

    // Killed inside a step: its rows are written when the lock is released, and must not stay.
    gate.until_a_step_waits().await;
    let stood = published(&ann.shows(&job));
    assert!((1..EVENTS[1]).contains(&stood), "{stood}");
    shop.console.kill();
    gate.open().await;
    let gate = Gate::close(&shop.database).await;
    shop.console.start_again();
    let ann = shop.console.operator("ann");
    let after = ann.shows(&job);
    assert_eq!((published(&after), after["state"].as_str()), (stood, Some("running")), "{after}");

    // And between two steps, at any moment.
    let gate = gate.let_a_step_pass(&shop.database, || published(&ann.shows(&job))).await;
    let before = stood;
    let stood = published(&ann.shows(&job));
    assert!((before + 1..EVENTS[1]).contains(&stood), "{stood} after {before}");
    shop.console.kill();
    gate.open().await;
    let since = Instant::now();
    shop.console.start_again();
    let ann = shop.console.operator("ann");
    let after = published(&ann.shows(&job));
    // It goes on at once: a busy machine may look only when more seconds have passed.
    let most = stood + PACE * (since.elapsed().as_secs() as i64 + 1);
    assert!((stood..=most).contains(&after), "{after} of {stood}");
    until_done(&ann, &job).await;

    let repeated = compare(&shop.until_captured().await);
    println!("replay: {} events, {repeated} came more than once more", EVENTS[1]);
    assert!(repeated as i64 <= PACE, "{repeated} repeats");
}

/// A lock on the outbox. While it is held, no row can be written.
struct Gate(PgConnection);

const CLOSE: &str = "BEGIN; LOCK TABLE messagekit.outbox_events IN SHARE MODE";

impl Gate {
    async fn close(database: &Database) -> Self {
        let mut connection = database.connection().await;
        sqlx::raw_sql(CLOSE).execute(&mut connection).await.unwrap();
        Self(connection)
    }

    async fn until_a_step_waits(&mut self) {
        let waits = "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'messagekit.outbox_events'::regclass AND NOT granted)";
        eventually("a step is in flight", DEADLINE, async || {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut self.0).await.unwrap()
        })
        .await;
    }

    /// Lets one step pass that is committed: the progress grows. On a busy machine a step may be cut off while it waits.
    async fn let_a_step_pass(mut self, database: &Database, progress: impl Fn() -> i64) -> Self {
        let (end, before) = (Instant::now() + DEADLINE, progress());
        while progress() == before {
            assert!(Instant::now() < end, "no step is committed");
            self = self.let_one_through(database).await;
        }
        self
    }

    /// Lets only the next step pass: another lock request waits right behind it. Returns when the step has ended.
    async fn let_one_through(mut self, database: &Database) -> Self {
        self.until_a_step_waits().await;
        let mut next = database.connection().await;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut next).await.unwrap();
        let closing = tokio::spawn(async move {
            sqlx::raw_sql(CLOSE).execute(&mut next).await.unwrap();
            next
        });
        eventually("the next gate stands behind the step", DEADLINE, async || {
            // Or the step was cut off before: both gates are closed now.
            locks::waits_for_lock(&mut self.0, pid).await || closing.is_finished()
        })
        .await;
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
        Self(closing.await.unwrap())
    }

    /// Opens it, and waits until the database has ended the transactions of the killed processes.
    async fn open(mut self) {
        let others = "SELECT count(*) FROM pg_locks
            WHERE relation = 'messagekit.replay_jobs'::regclass AND pid <> pg_backend_pid()";
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.unwrap();
        eventually("the transaction of the dead has ended", DEADLINE, async || {
            sqlx::query_scalar::<_, i64>(others).fetch_one(&mut self.0).await.unwrap() == 0
        })
        .await;
    }
}
