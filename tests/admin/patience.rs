//! Requests that take longer than their caller waits.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};

use messagekit::operations::Replays;
use messagekit_admin::Role;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_tests::{Database, locks};
use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::console::ask;
use crate::stock::{self, Served};

/// Returns a database with events, and a connection that has locked one of the tables.
async fn locked(lock: &'static str) -> (Database, PgConnection) {
    let database = Database::fresh().await;
    stock::events(&database.store().await, 10).await;
    let mut connection = database.connection().await;
    let lock = format!("BEGIN; LOCK TABLE {lock} MODE");
    sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.unwrap();
    (database, connection)
}

/// Returns how many statements like this one wait for a lock in the database.
async fn waiting(database: &Database, statement: &'static str) -> i64 {
    locks::waiting_statements(&mut database.connection().await, statement).await
}

#[test]
fn an_order_whose_caller_goes_away_is_written_down_all_the_same() {
    let (database, lock) = block_on(locked("messagekit.replay_jobs IN EXCLUSIVE"));
    let served = Served::over(&database);
    let order = "%INSERT INTO messagekit.replay_jobs%";
    let body = json!({"filter": {}}).to_string();
    let mut caller = TcpStream::connect(served.address).unwrap();
    write!(
        caller,
        "POST /api/v1/replay HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        served.address,
        served.secret(Role::Operator),
        body.len()
    )
    .unwrap();
    block_on(eventually("it is being ordered", DEADLINE, async || waiting(&database, order).await == 1));
    drop(caller);
    // After these yields the admin knows that the caller has disconnected.
    for _ in 0..20 {
        assert_eq!(ask(&served, "GET", "/health/live", None).0, 200);
    }
    assert_eq!(
        ask(&served, "POST", "/api/v1/replay", Some(&json!({"filter": {}}))).0,
        409,
        "one is being chosen"
    );
    block_on(async {
        assert_eq!(waiting(&database, order).await, 1);
        drop(lock);
        let store = database.store().await;
        eventually("the replay is ordered", DEADLINE, async || {
            store.replays(None, 1).await.unwrap().first().is_some_and(|job| job.events == 10)
        })
        .await;
    });
}

#[test]
fn slow_counts_delay_no_other_request() {
    let (database, lock) = block_on(locked("messagekit.outbox_events IN ACCESS EXCLUSIVE"));
    let served = Served::over(&database);
    let count = json!({"filter": {}});
    let statement = "%count(*) FROM messagekit.outbox_events%";
    let enough = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !enough.load(Ordering::Relaxed) {
                    let counted = ask(&served, "POST", "/api/v1/replay/count", Some(&count)).0;
                    assert_eq!(counted, 503, "the table stays locked");
                }
            });
        }
        block_on(eventually("two count", DEADLINE, async || waiting(&database, statement).await == 2));
        for _ in 0..10 {
            block_on(eventually("lists are answered", DEADLINE, async || {
                ask(&served, "GET", "/api/v1/dlq", None).0 == 200
            }));
            assert!(block_on(waiting(&database, statement)) <= 2, "the others wait for their turn");
        }
        enough.store(true, Ordering::Relaxed);
    });
    block_on(eventually("the server has given up", DEADLINE, async || {
        waiting(&database, statement).await == 0
    }));
    drop(lock);
    block_on(eventually("it is counted", DEADLINE, async || {
        ask(&served, "POST", "/api/v1/replay/count", Some(&count)).1["events"] == 10
    }));
}
