//! Rows of a file that a statement deletes without a trigger have their events, and no others have.

use std::path::Path;

use futures_util::TryStreamExt;
use messagekit::ErrorKind;
use messagekit_sqlite::rusqlite::Connection;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_topics::Topics;
use serde_json::json;
use tempfile::TempDir;

use super::table_sources::{Shop, TOPIC, event};

const WITH_EMAILS: &str = "CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT UNIQUE)";

/// Adds a source, runs what makes rows, and returns the events of what follows, with both settings of the pragma.
async fn kinds(schema: &str, first: &str, then: &str) -> [Vec<String>; 2] {
    let mut kinds = [const { Vec::new() }; 2];
    for (index, kinds) in kinds.iter_mut().enumerate() {
        let shop = Shop::with(schema).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run(first);
        shop.kinds().await;
        shop.run(&format!("PRAGMA recursive_triggers = {index}; {then}"));
        *kinds = shop.kinds().await;
    }
    kinds
}

#[test]
fn an_update_to_the_key_of_another_row_is_the_end_of_that_row() {
    block_on(async {
        let two = "INSERT INTO orders VALUES (1, 'a'), (2, 'b')";
        let [off, on] = kinds(WITH_EMAILS, two, "UPDATE OR REPLACE orders SET id = 2 WHERE id = 1").await;
        assert_eq!(off, ["deleted 2", "deleted 1", "inserted 2"]);
        assert_eq!(on, off);
        let schema = "CREATE TABLE orders (id TEXT PRIMARY KEY, n INT) WITHOUT ROWID";
        let [off, on] = kinds(
            schema,
            "INSERT INTO orders VALUES ('a', 1), ('b', 2)",
            "UPDATE OR REPLACE orders SET id = 'b' WHERE n = 1",
        )
        .await;
        assert_eq!(off, ["deleted b", "deleted a", "inserted b"]);
        assert_eq!(on, off);
    });
}

#[test]
fn what_an_ignored_insert_has_noted_ends_with_its_statement() {
    block_on(async {
        let [off, on] = kinds(
            WITH_EMAILS,
            "INSERT INTO orders VALUES (1, 'a')",
            "BEGIN; INSERT OR IGNORE INTO orders VALUES (1, 'never'); UPDATE orders SET id = 9 WHERE id = 1;
             DELETE FROM orders; INSERT INTO orders (email) VALUES ('b'); COMMIT",
        )
        .await;
        assert_eq!(off, ["deleted 1", "inserted 9", "deleted 9", "inserted 1"]);
        assert_eq!(on, off);
    });
}

#[test]
fn an_upsert_that_changes_the_key_deletes_once() {
    block_on(async {
        let [off, on] = kinds(
            WITH_EMAILS,
            "INSERT INTO orders VALUES (1, 'a')",
            "INSERT INTO orders VALUES (2, 'a') ON CONFLICT (email) DO UPDATE SET id = 50",
        )
        .await;
        assert_eq!(off, ["deleted 1", "inserted 50"]);
        assert_eq!(on, off);
    });
}

#[test]
fn a_generated_key_follows_the_default_that_stands_in_for_null() {
    block_on(async {
        let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY, a TEXT NOT NULL DEFAULT (lower('X')), g AS (a || '!') UNIQUE)";
        let shop = Shop::with(schema).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'x'), (2, 'b'); REPLACE INTO orders VALUES (2, NULL)");
        let row = |id: i64, a: &str| json!({ "row": { "id": id, "a": a, "g": format!("{a}!") } });
        assert_eq!(
            shop.events().await[2..],
            [event("deleted 1", row(1, "x")), event("updated 2", row(2, "x"))]
        );
        let [off, on] = kinds(
            schema,
            "INSERT INTO orders VALUES (1, 'x'), (2, 'b')",
            "UPDATE OR REPLACE orders SET a = NULL WHERE id = 2; REPLACE INTO orders VALUES (7, 'x')",
        )
        .await;
        assert_eq!(off, ["deleted 1", "updated 2", "deleted 2", "inserted 7"]);
        assert_eq!(on, off);
    });
}

#[test]
fn a_key_over_an_expression_or_a_part_of_the_rows_is_looked_at() {
    block_on(async {
        let schema = "CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT, is_open INT);
            CREATE UNIQUE INDEX of_email ON orders (lower(email)) WHERE is_open = 1 -- and no other";
        let [off, on] = kinds(
            schema,
            "INSERT INTO orders VALUES (1, 'A', 1), (2, 'a', 0), (3, 'b', 1)",
            "REPLACE INTO orders VALUES (4, 'a', 0), (5, 'a', 1); UPDATE OR REPLACE orders SET email = 'B' WHERE id = 5",
        )
        .await;
        assert_eq!(off, ["inserted 4", "deleted 1", "inserted 5", "deleted 3", "updated 5"]);
        assert_eq!(on, off);
    });
}

#[test]
fn a_row_whose_number_is_taken_is_deleted() {
    block_on(async {
        let [off, on] = kinds(
            "CREATE TABLE orders (id TEXT PRIMARY KEY)",
            "INSERT INTO orders (rowid, id) VALUES (1, 'a'), (2, 'b')",
            "REPLACE INTO orders (rowid, id) VALUES (1, 'c'); UPDATE OR REPLACE orders SET rowid = 1 WHERE id = 'b'",
        )
        .await;
        assert_eq!(off, ["deleted a", "inserted c", "deleted c", "updated b"]);
        assert_eq!(on, off);
    });
}

#[test]
fn a_key_that_no_trigger_can_know_before_the_write_is_refused() {
    block_on(async {
        for (schema, key) in [
            ("CREATE TABLE orders (id INTEGER PRIMARY KEY, g AS (id % 3) UNIQUE)", "(\"g\")"),
            (
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, a NOT NULL DEFAULT (abs(random() % 3)) UNIQUE)",
                "(\"a\")",
            ),
            (
                "CREATE TABLE orders (id INTEGER PRIMARY KEY, a); CREATE UNIQUE INDEX i ON orders (a) WHERE id > 2",
                "(\"a\") WHERE id > 2",
            ),
        ] {
            let shop = Shop::with(schema).await;
            let error = shop.topics.source("orders").add(TOPIC).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.context("key")),
                (ErrorKind::InvalidConfiguration, Some(key)),
                "{error}"
            );
        }
    });
}

/// Writes a file with a source whose triggers have the form of an earlier program, which does nothing for rows that REPLACE deletes.
async fn write_earlier_file(path: &Path) {
    let topics = Topics::open(path).await.unwrap();
    let conn = Connection::open(path).unwrap();
    conn.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT UNIQUE)").unwrap();
    topics.source("orders").add(TOPIC).await.unwrap();
    topics.close().await.unwrap();
    conn.execute_batch("INSERT INTO orders VALUES (1, 'a')").unwrap();
    let replacing = "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'orders'
      AND sql LIKE '%messagekit_replaced_rows%'";
    let mut select = conn.prepare(replacing).unwrap();
    let triggers = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let triggers: Vec<(String, String)> = triggers.map(Result::unwrap).collect();
    assert!(!triggers.is_empty(), "this program's triggers note replaced rows");
    for (name, sql) in triggers {
        let (head, _) = sql.split_once("BEGIN\n").unwrap();
        conn.execute_batch(&format!("DROP TRIGGER {name}; {head}BEGIN SELECT 1; END")).unwrap();
    }
    conn.execute_batch("UPDATE messagekit_table_sources SET form = form - 1").unwrap();
}

#[test]
fn a_source_of_an_earlier_program_is_right_once_it_is_opened() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("earlier.db");
        write_earlier_file(&path).await;
        let topics = Topics::open(&path).await.unwrap();
        let orders = topics.untyped(TOPIC).open().await.unwrap();
        let forms = "SELECT form FROM messagekit_table_sources";
        let foreign = Connection::open(&path).unwrap();
        let form = || foreign.query_row(forms, [], |row| row.get::<_, u32>(0)).unwrap();
        eventually("the triggers are made again", DEADLINE, async || form() == 3).await;
        assert_eq!(topics.sources().await.unwrap()[0].fault, None);
        foreign
            .execute_batch(
                "INSERT INTO orders VALUES (2, 'b'); UPDATE OR REPLACE orders SET id = 2 WHERE id = 1",
            )
            .unwrap();
        let all: Vec<_> = orders.iter_new().try_collect().await.unwrap();
        let kinds: Vec<String> = all
            .iter()
            .map(|record| {
                format!("{} {}", record.data["eventType"].as_str().unwrap(), record.data["row"]["id"])
            })
            .collect();
        let expected = ["inserted 1", "inserted 2", "deleted 2", "deleted 1", "inserted 2"];
        assert_eq!(kinds, expected.map(|kind| format!("shop.orders.{kind}")));
        topics.close().await.unwrap();
    });
}
