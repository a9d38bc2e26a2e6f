//! Random tables of a file under random statements: the events of the source, applied to an empty table, give the table.
//!
//! `MESSAGEKIT_SEED` names the only life to be lived. Otherwise there are 24 lives of 90 statements, and with `MESSAGEKIT_FULL=1` 2,000.

mod schema;
mod statements;

use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;
use messagekit::log::RowPayload;
use messagekit_sqlite::rusqlite::types::ValueRef;
use messagekit_sqlite::rusqlite::{Connection, Row};
use messagekit_testkit::block_on;
use messagekit_tests::Mirror;
use messagekit_tests::random_lives::live_all;
use messagekit_topics::Topics;
use serde_json::{Value, json};
use tempfile::TempDir;

use schema::Schema;

const TOPIC: &str = "life.t";
/// The statements between two comparisons.
const TOGETHER: usize = 6;
const COMPARISONS: usize = 15;

/// What has become of a life.
#[derive(Debug, PartialEq, Eq)]
enum End {
    Lived,
    /// SQLite refuses the table, or we refuse it as a source.
    Refused,
}

#[test]
fn events_of_random_statements_give_the_table() {
    let refused = AtomicUsize::new(0);
    let lives = live_all(1, |seeds| {
        for seed in seeds {
            let mut script = Vec::new();
            match block_on(live(*seed, &mut script)) {
                Ok(End::Lived) => {}
                Ok(End::Refused) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                Err(fault) => panic!("MESSAGEKIT_SEED={seed}: {fault}\n{};", script.join(";\n")),
            }
        }
    });
    let refused = refused.into_inner();
    println!("{refused} of {lives} tables were refused");
    assert!(refused * 3 <= lives || lives == 1, "{refused} of {lives} tables were refused");
}

/// Lives a life, and writes its statements down.
async fn live(seed: u64, script: &mut Vec<String>) -> Result<End, String> {
    let mut random = Rng::with_seed(seed);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("life.db");
    let topics = Topics::open_unflushed(&path).await.unwrap();
    topics.untyped(TOPIC).open().await.unwrap();
    let foreign = Connection::open(&path).unwrap();
    foreign.busy_timeout(std::time::Duration::from_secs(60)).unwrap();
    foreign.execute_batch("PRAGMA synchronous = OFF").unwrap();
    let schema = Schema::random(&mut random);
    script.extend(schema.definitions.iter().cloned());
    if foreign.execute_batch(&schema.definitions.join(";")).is_err() {
        return Ok(End::Refused);
    }
    let payload = [RowPayload::Full, RowPayload::Diff, RowPayload::Key][random.usize(0..3)];
    script.push(format!("-- {payload:?}"));
    if let Err(error) = topics.source("t").payload(payload).add(TOPIC).await {
        let is_meant = error.to_string().contains("no trigger knows which row REPLACE takes");
        return if is_meant { Ok(End::Refused) } else { Err(messagekit::chain(&error)) };
    }
    let mut mirror = Mirror::of(&schema.key).lenient(schema.columns.contains(&"parent"));
    for _ in 0..COMPARISONS {
        for _ in 0..TOGETHER {
            let statement = statements::random(&mut random, &schema, !foreign.is_autocommit());
            let done = foreign.execute_batch(&statement);
            let said = done.err().map(|error| format!(" -- {error}")).unwrap_or_default();
            script.push(format!("{statement}{said}"));
        }
        let end = if random.u8(0..3) == 0 { "ROLLBACK" } else { "COMMIT" };
        if !foreign.is_autocommit() && foreign.execute_batch(end).is_err() {
            foreign.execute_batch("ROLLBACK").unwrap();
        }
        script.push(format!("{end} -- if there is a transaction"));
        mirror.follow(topics.store(), TOPIC).await?;
        mirror.compare(&rows(&foreign))?;
    }
    topics.close().await.unwrap();
    Ok(End::Lived)
}

/// Returns the rows of the table as events hold them.
fn rows(conn: &Connection) -> Vec<Value> {
    let mut select = conn.prepare("SELECT * FROM t").unwrap();
    let names: Vec<String> = select.column_names().into_iter().map(str::to_owned).collect();
    let read = |row: &Row<'_>| {
        let columns = names.iter().enumerate();
        Ok(columns.map(|(index, name)| (name.clone(), value(row.get_ref(index).unwrap()))).collect())
    };
    select.query_map([], read).unwrap().map(Result::unwrap).collect()
}

fn value(held: ValueRef<'_>) -> Value {
    match held {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => json!(number),
        ValueRef::Real(number) => json!(number),
        ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
        ValueRef::Blob(bytes) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!(format!("\\x{digits}"))
        }
    }
}
