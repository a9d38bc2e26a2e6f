//! Rows of a SQLite file.

use std::path::Path;
use std::time::Instant;

use messagekit_sqlite::rusqlite::Connection;
use messagekit_topics::Topics;
use serde_json::json;

use super::fixture::{FIGURE, TOPIC, Way};
use crate::frame::{Judge, Ledger, Measured, Meter, Outcome};
use crate::settings::Settings;

/// The rows of a transaction.
const TOGETHER: usize = 1_000;

const TABLE: &str = "CREATE TABLE orders (number INTEGER PRIMARY KEY, account TEXT NOT NULL, status TEXT NOT NULL, total INTEGER NOT NULL)";
const INSERT: &str = "INSERT INTO orders VALUES (?1, ?2, 'open', ?3)";
const EVENT: &str =
    "INSERT INTO messagekit_waiting_changes (topic, event_type, source_table, key, row, changed_at)
  VALUES ('bench.orders', 'bench.orders.inserted', 'orders', ?1, ?2, julianday('now'))";

pub(super) async fn write(settings: &Settings, way: Way, rows: usize) -> Outcome<Measured> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("bench.db");
    let topics = Topics::open(&file).await?;
    topics.untyped(TOPIC).open().await?;
    let connection = foreign(&file)?;
    connection.execute_batch(TABLE)?;
    if way == Way::Kept {
        topics.source("orders").partition_by("account").add(TOPIC).await?;
    }
    // Its writer would append what waits meanwhile.
    topics.close().await?;
    let meter = Meter::start(settings.parts());
    let began = Instant::now();
    insert(&connection, way, rows)?;
    let seconds = began.elapsed().as_secs_f64();
    let measured = Measured::new(judge(&connection, way, rows)?);
    Ok(measured.with(FIGURE, rows as f64 / seconds).with_all(meter.per_100k(rows)))
}

fn foreign(file: &Path) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

fn insert(connection: &Connection, way: Way, rows: usize) -> Outcome<()> {
    let mut row = connection.prepare(INSERT)?;
    let mut event = connection.prepare(EVENT)?;
    for first in (0..rows).step_by(TOGETHER) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for number in first..rows.min(first + TOGETHER) {
            let (account, total) = (format!("account-{}", number % 1000), 100 + number % 50);
            row.execute((number as i64, &account, total as i64))?;
            if way == Way::ByHand {
                let held = json!({ "number": number, "account": account, "status": "open", "total": total });
                event.execute((&account, held.to_string()))?;
            }
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(())
}

fn judge(connection: &Connection, way: Way, rows: usize) -> Outcome<Ledger> {
    let select = match way {
        Way::Plain => "SELECT account, number FROM orders ORDER BY number",
        _ => {
            "SELECT key, json_extract(row, '$.number') FROM messagekit_waiting_changes ORDER BY messagekit_waiting_changes.number"
        }
    };
    let mut judge = Judge::expecting(rows);
    let mut select = connection.prepare(select)?;
    let mut found = select.query(())?;
    while let Some(row) = found.next()? {
        judge.see(&row.get::<_, String>(0)?, u64::try_from(row.get::<_, i64>(1)?)?)?;
    }
    Ok(judge.verdict())
}
