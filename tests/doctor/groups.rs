//! Consumers that read no more of a topic, and claims that are scattered.

use messagekit_sqlite::migrations;
use messagekit_sqlite::rusqlite::Connection;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use tempfile::TempDir;

use crate::stage::{Stage, messagekit, run};

const CONSUME: &str = "CONSUME FROM \"my-shop.orders\" GROUP 'mistyped' FROM EARLIEST LIMIT 1;
  CONSUME FROM \"my-shop.orders\" GROUP 'it''s live' FROM EARLIEST LIMIT 1";

/// Runs a command on a database.
fn tell(url: &str, command: &str, arguments: &[&str]) {
    let done = messagekit(command).args(arguments).args(["--database", url]).output().unwrap();
    assert!(done.status.success(), "{command} {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Fills a topic, of which two consumers read one record.
fn leave(url: &str) {
    tell(url, "sql", &["CREATE TOPIC \"my-shop.orders\" PARTITIONS 2 WITH (retention_consumed = true)"]);
    let records: Vec<String> = (0..20).map(|n| format!("{{\"n\": {n}}}")).collect();
    let arguments: Vec<&str> =
        ["append", "my-shop.orders"].into_iter().chain(records.iter().map(String::as_str)).collect();
    tell(url, "topics", &arguments);
    tell(url, "sql", &[CONSUME]);
}

async fn idle_consumers_are_named(url: &str, age: impl AsyncFn()) {
    leave(url);
    let stage = Stage::database(url);
    assert!(!stage.look().has("consumer-idle"), "a group has a week");
    age().await;
    let found = stage.finds("consumer-idle").await;
    assert!(found["text"].as_str().unwrap().contains("a record of my-shop.orders from 2"), "{found}");
    for (consumer, quoted) in [("mistyped", "'mistyped'"), ("it's live", "'it''s live'")] {
        let report = stage.look();
        let found = report.findings().iter().find(|found| found["subject"] == consumer);
        let repair =
            found.unwrap_or_else(|| panic!("{consumer} is named: {}", report.json))["repair"][0]["text"]
                .clone();
        let step = format!("DROP CONSUMER GROUP {quoted} ON \"my-shop.orders\"");
        assert!(repair.as_str().unwrap().contains(&step), "{repair}");
        tell(url, "sql", &[&step]);
    }
    assert!(!stage.look().has("consumer-idle"));
}

async fn scattered_claims_are_named(url: &str, scatter: impl AsyncFn(&str)) {
    leave(url);
    let stage = Stage::database(url);
    assert!(!stage.look().has("claims-scattered"));
    let range = |n: u32| {
        let state = if n.is_multiple_of(2) {
            r#""settled""#
        } else {
            r#"{"waiting": {"due": 0, "is_alone": false}}"#
        };
        format!(r#"{{"from": {n}, "to": {}, "attempts": 1, "state": {state}}}"#, n + 1)
    };
    let ranges: Vec<String> = (1..=5_000).map(range).collect();
    scatter(&format!("[{}]", ranges.join(","))).await;
    let found = stage.finds("claims-scattered").await;
    for part in ["of my-shop.orders", "\"mistyped\"", "in 5000 separate ranges", "at 10000"] {
        assert!(found["text"].as_str().unwrap().contains(part), "{part} in {found}");
    }
}

struct File(TempDir);

impl File {
    fn new() -> Self {
        let file = Self(TempDir::new().unwrap());
        migrations::migrate(file.0.path().join("shop.db")).unwrap();
        file
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.0.path().join("shop.db").display())
    }

    fn change(&self, sql: &str, text: Option<&str>) {
        let conn = Connection::open(self.0.path().join("shop.db")).unwrap();
        conn.execute(sql, messagekit_sqlite::rusqlite::params_from_iter(text)).unwrap();
    }
}

#[test]
fn idle_consumers_of_a_file_are_named() {
    block_on(async {
        let file = File::new();
        let age = "UPDATE messagekit_topic_records SET created_at = created_at - 8 * 86400000000";
        idle_consumers_are_named(&file.url(), async || file.change(age, None)).await;
    });
}

#[test]
fn idle_consumers_of_a_server_are_named() {
    block_on(async {
        let database = Database::fresh().await;
        let age = "UPDATE messagekit.topic_records SET stored_at = stored_at - interval '8 days'";
        idle_consumers_are_named(database.url(), async || run(database.url(), age).await).await;
    });
}

#[test]
fn scattered_claims_of_a_file_are_named() {
    block_on(async {
        let file = File::new();
        let mistyped = "consumer_id = (SELECT id FROM messagekit_consumers WHERE name = 'mistyped')";
        let scatter = format!("UPDATE messagekit_record_claims SET next = 1, ranges = ?1 WHERE {mistyped}");
        let cursor = format!("UPDATE messagekit_consumer_cursors SET next = 1 WHERE {mistyped}");
        scattered_claims_are_named(&file.url(), async |ranges| {
            file.change(&scatter, Some(ranges));
            assert!(!Stage::database(&file.url()).look().has("claims-scattered"), "the cursor is elsewhere");
            file.change(&cursor, None);
        })
        .await;
    });
}

#[test]
fn scattered_claims_of_a_server_are_named() {
    block_on(async {
        let database = Database::fresh().await;
        let scatter = |ranges: &str| {
            format!(
                "UPDATE messagekit.consumer_cursors SET next = 1, ranges = '{ranges}' WHERE consumer = 'mistyped'"
            )
        };
        scattered_claims_are_named(database.url(), async |ranges| run(database.url(), scatter(ranges)).await)
            .await;
    });
}
