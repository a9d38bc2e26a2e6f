//! Tables that are partitioned by day: rows that partitioning keeps, and rows that are removed with a whole day.

mod ahead;
mod dividing;
mod leaving;

use std::time::{SystemTime, UNIX_EPOCH};

use messagekit::cleanup::{CleanupReport, CleanupTarget, Retention, clean};
use messagekit_postgres::publishing_mode::{Existing, to_relay};
use messagekit_postgres::{PostgresStore, SchemaName, partitioning};
use messagekit_testkit::DEADLINE;
use messagekit_tests::Database;
use sqlx::AssertSqlSafe;

use crate::shop::run;

const DAY: u64 = 24 * 3_600;

async fn divide(database: &Database) -> Result<Vec<String>, messagekit_postgres::Error> {
    partitioning::divide(database.url(), &SchemaName::default(), DEADLINE).await
}

/// Returns an outbox of a relay and markers, partitioned before the first row.
async fn divided() -> (Database, PostgresStore) {
    let database = Database::fresh().await;
    to_relay(database.url(), &SchemaName::default(), Existing::Refuse, DEADLINE).await.unwrap();
    divide(&database).await.unwrap();
    let store = database.store().await;
    (database, store)
}

/// Returns an id of version 7, created `days` days ago at noon.
fn id(days: u64, number: u64) -> String {
    of_day(today() - days, number)
}

fn in_days(days: u64, number: u64) -> String {
    of_day(today() + days, number)
}

fn today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / DAY
}

fn of_day(day: u64, number: u64) -> String {
    let millis = (day * DAY + DAY / 2) * 1_000;
    format!("{:08x}-{:04x}-7000-8000-{number:012x}", millis >> 16, millis & 0xffff)
}

async fn execute(store: &PostgresStore, sql: String) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(store.pool()).await.expect("runs");
}

async fn count(store: &PostgresStore, what: &str) -> i64 {
    let count = AssertSqlSafe(format!("SELECT count(*) FROM {what}"));
    sqlx::query_scalar(count).fetch_one(store.pool()).await.unwrap()
}

/// Writes an event whose id and row are `days` days old.
async fn write(store: &PostgresStore, id: &str, days: u64) {
    let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload, created_at)
        VALUES ($1, 'orders.order', 'k-' || $1, '\\x00', now() - $2 * interval '1 day')";
    let days = i64::try_from(days).unwrap();
    sqlx::query(insert).bind(id).bind(days).execute(store.pool()).await.unwrap();
}

async fn published(store: &PostgresStore) {
    run(store.pool(), "DELETE FROM messagekit.outbox_pending").await;
}

async fn mark(store: &PostgresStore, consumer: &str, id: &str, outcome: &str, days: u64) {
    let insert =
        "INSERT INTO messagekit.processed_messages (consumer, message_id, day, outcome, processed_at)
        VALUES ($1, $2, messagekit.day_of($2), $3, now() - $4 * interval '1 day')";
    let days = i64::try_from(days).unwrap();
    sqlx::query(insert).bind(consumer).bind(id).bind(outcome).bind(days).execute(store.pool()).await.unwrap();
}

/// Returns how many rows were removed one by one, and how many days.
async fn cleaned(store: &PostgresStore, what: CleanupTarget) -> (u64, u64) {
    let done = clean(store, &Retention::default(), false, std::future::pending::<()>()).await.unwrap();
    let CleanupReport { removed, days, .. } = done.into_iter().find(|cleaned| cleaned.what == what).unwrap();
    (removed, days)
}
