//! Names of tables and columns of a file stay names, whatever they hold and whatever the writer's connection has set.

use messagekit::log::RowPayload;
use messagekit_sqlite::rusqlite::Connection;
use messagekit_sqlite::rusqlite::config::DbConfig;
use messagekit_testkit::block_on;
use messagekit_tests::HOSTILE_NAMES;
use messagekit_topic_store::{RecordQuery, TopicStore};
use messagekit_topics::Topics;
use serde_json::{Value, json};
use tempfile::TempDir;

const TOPIC: &str = "shop.names";
const CANARY: &str = "CREATE TABLE canary (stolen TEXT); INSERT INTO canary VALUES ('alive')";

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns a connection that reads words in double quotes as text where no name fits, or refuses them.
fn writer(path: &std::path::Path, reads_double_quotes: bool) -> Connection {
    let conn = Connection::open(path).unwrap();
    for setting in [DbConfig::SQLITE_DBCONFIG_DQS_DML, DbConfig::SQLITE_DBCONFIG_DQS_DDL] {
        conn.set_db_config(setting, reads_double_quotes).unwrap();
    }
    conn
}

#[test]
fn hostile_names_are_names_for_every_connection() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("names.db");
        let topics = Topics::open_unflushed(&path).await.unwrap();
        topics.untyped(TOPIC).open().await.unwrap();
        let writers = [false, true].map(|reads_double_quotes| writer(&path, reads_double_quotes));
        writers[0].execute_batch(CANARY).unwrap();
        let mut last = 0;
        for (number, name) in HOSTILE_NAMES.iter().enumerate() {
            let table = format!("{name}{number}");
            let (own, column, index) = (quoted(&table), quoted(name), quoted(&format!("{name}_{number}")));
            writers[0]
                .execute_batch(&format!(
                    "CREATE TABLE {own} ({column} INT PRIMARY KEY, other TEXT UNIQUE, third AS ({column} + 1));
                     CREATE UNIQUE INDEX {index} ON {own} (abs({column})) WHERE {column} > 0"
                ))
                .unwrap();
            for payload in [RowPayload::Key, RowPayload::Diff] {
                let source = topics.source(own.as_str()).payload(payload).replace();
                source.add(TOPIC).await.unwrap_or_else(|error| panic!("{name:?}: {error}"));
                for writer in &writers {
                    let write = format!(
                        "INSERT INTO {own} VALUES (1, 'a'); REPLACE INTO {own} VALUES (1, 'b');
                         UPDATE {own} SET other = 'c'; DELETE FROM {own}"
                    );
                    writer.execute_batch(&write).unwrap_or_else(|error| panic!("{name:?}: {error}"));
                    let expected = ["inserted", "updated", "updated", "deleted"]
                        .map(|kind| (kind.to_owned(), "1".to_owned(), json!(1)));
                    assert_eq!(events(&topics, &mut last, name).await, expected, "{name:?}, {payload:?}");
                }
            }
            assert!(topics.drop_source(TOPIC, &own).await.unwrap(), "{name:?}");
            let alive: i64 =
                writers[0].query_row("SELECT count(*) FROM canary", [], |row| row.get(0)).unwrap();
            assert_eq!(alive, 1, "{name:?} ran code");
        }
    });
}

#[test]
fn texts_in_double_quotes_stop_no_strict_writer() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("quotes.db");
        let topics = Topics::open_unflushed(&path).await.unwrap();
        topics.untyped(TOPIC).open().await.unwrap();
        let table =
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, n INT, status TEXT NOT NULL DEFAULT \"open\",
                       kind TEXT AS (status || \"-kind\") UNIQUE);
                     CREATE UNIQUE INDEX one_open ON orders (n) WHERE status = \"open\";
                     CREATE UNIQUE INDEX by_text ON orders (n || \"!\")";
        writer(&path, true).execute_batch(table).unwrap();
        topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        let strict = writer(&path, false);
        strict.execute_batch("INSERT INTO orders (id, n) VALUES (1, 1)").unwrap();
        strict.execute_batch("REPLACE INTO orders (id, n, status) VALUES (1, 2, NULL)").unwrap();
        strict.execute_batch("UPDATE orders SET n = 3; DELETE FROM orders").unwrap();
        let kinds: Vec<_> = events(&topics, &mut 0, "id").await.into_iter().map(|event| event.0).collect();
        assert_eq!(kinds, ["inserted", "updated", "updated", "deleted"]);
    });
}

/// Returns the last part of the type, the key and the column of this name of each new event.
async fn events<S: TopicStore>(
    topics: &Topics<S>,
    last: &mut i64,
    column: &str,
) -> Vec<(String, String, Value)> {
    let query =
        RecordQuery { consumer: "look".into(), topic: TOPIC.into(), status: None, after: *last, max: 100 };
    let records = topics.store().read_records(&query).await.unwrap().records;
    *last = records.last().map_or(*last, |record| record.id);
    let read = |payload: &[u8]| {
        let event: Value = serde_json::from_slice(payload).unwrap();
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        let kind = text("eventType").rsplit('.').next().unwrap().to_owned();
        (kind, text("aggregateId"), event["row"][column].clone())
    };
    records.iter().map(|record| read(&record.record.message.payload)).collect()
}
