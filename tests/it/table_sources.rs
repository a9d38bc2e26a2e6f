//! Tables of a file whose changes become events, whatever program makes them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use futures_util::TryStreamExt;
use messagekit::log::{Change, OnSourceFailure, RowPayload, SourceFault};
use messagekit::operations::{Doctor, OutboxHealth, Repair};
use messagekit::relay::OutboxReader;
use messagekit::{Envelope, ErrorKind, Event, Message, Store};
use messagekit_sqlite::{FileDoctor, SqliteStore};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use messagekit_topic_store::{AddedSource, Claimed, RecordClaimer, Which};
use messagekit_topics::{RecordStatus, Topic, Topics};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(super) const TOPIC: &str = "shop.orders";
const ORDERS: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT, total REAL, status TEXT DEFAULT 'open')";

fn run_on(path: &Path, sql: &str) -> Output {
    const PROGRAM: &str = "import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=60)
connection.executescript(sys.argv[2])";
    Command::new("python3").args(["-c", PROGRAM]).arg(path).arg(sql).output().unwrap()
}

/// A file with a table that knows nothing of us, and a topic of it.
pub(super) struct Shop {
    _folder: TempDir,
    pub(super) path: PathBuf,
    pub(super) topics: Topics<SqliteStore>,
    orders: Topic<Value, SqliteStore>,
}

impl Shop {
    pub(super) async fn new() -> Self {
        Self::with(ORDERS).await
    }

    pub(super) async fn with(schema: &str) -> Self {
        let shop = Self::on_file_with("").await;
        shop.run(schema);
        shop
    }

    /// The file is there before it has topics.
    async fn on_file_with(sql: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("shop.db");
        run_on(&path, sql);
        let topics = Topics::open(&path).await.unwrap();
        let orders = topics.untyped(TOPIC).open().await.unwrap();
        Self { _folder: folder, path, topics, orders }
    }

    /// Runs statements in a program of another language, which commits after each.
    pub(super) fn run(&self, sql: &str) {
        let done = self.try_run(sql);
        assert!(done.status.success(), "{sql}: {}", String::from_utf8_lossy(&done.stderr));
    }

    fn try_run(&self, sql: &str) -> Output {
        run_on(&self.path, sql)
    }

    /// Returns the error of statements that fail.
    pub(super) fn refused(&self, sql: &str) -> String {
        let done = self.try_run(sql);
        assert!(!done.status.success(), "{sql}");
        String::from_utf8_lossy(&done.stderr).lines().last().unwrap().to_owned()
    }

    fn rows(&self, sql: &str) -> i64 {
        rusqlite_number(&self.path, sql)
    }

    /// Returns (last part of the type and key, what the event holds) of each new event, and handles them.
    pub(super) async fn events(&self) -> Vec<(String, Value)> {
        let page: Vec<_> = self.orders.iter_new().try_collect().await.unwrap();
        let mut events = Vec::new();
        for record in page {
            let mut held = json!({});
            for part in ["row", "changes"] {
                if let Some(value) = record.data.get(part) {
                    held[part] = value.clone();
                }
            }
            let kind = record.data["eventType"].as_str().unwrap().rsplit('.').next().unwrap();
            events.push((format!("{kind} {}", record.data["aggregateId"].as_str().unwrap_or("-")), held));
            self.orders.set_handled(record.id).await.unwrap();
        }
        events
    }

    /// Returns the last part of the type and the key of each new event.
    pub(super) async fn kinds(&self) -> Vec<String> {
        self.events().await.into_iter().map(|(kind, _)| kind).collect()
    }

    /// As [`kinds`](Self::kinds), sorted: the order of triggers is not defined.
    async fn sorted_kinds(&self) -> Vec<String> {
        let mut kinds = self.kinds().await;
        kinds.sort_unstable();
        kinds
    }

    async fn faults(&self) -> Vec<Option<SourceFault>> {
        self.topics.sources().await.unwrap().into_iter().map(|source| source.fault).collect()
    }
}

fn rusqlite_number(path: &PathBuf, sql: &str) -> i64 {
    let conn = messagekit_sqlite::rusqlite::Connection::open(path).unwrap();
    conn.query_row(sql, [], |row| row.get(0)).unwrap()
}

pub(super) fn event(kind: &str, held: Value) -> (String, Value) {
    (kind.to_owned(), held)
}

fn row(id: i64, customer: &str, total: f64, status: &str) -> Value {
    json!({ "id": id, "customer": customer, "total": total, "status": status })
}

#[test]
fn changes_by_another_program_become_events_in_the_same_commit() {
    block_on(async {
        let shop = Shop::new().await;
        assert_eq!(shop.topics.source("orders").add(TOPIC).await.unwrap(), AddedSource::Added);
        shop.run("INSERT INTO orders VALUES (1, 'ada', 9.5, 'open'), (2, 'bob', 20, 'open')");
        shop.run("BEGIN; INSERT INTO orders VALUES (3, 'eve', 1, 'open'); ROLLBACK");
        shop.run("UPDATE orders SET status = 'paid' WHERE id = 2");
        shop.run("DELETE FROM orders WHERE id = 1; DELETE FROM orders WHERE id = 99");
        assert_eq!(
            shop.events().await,
            [
                event("inserted 1", json!({ "row": row(1, "ada", 9.5, "open") })),
                event("inserted 2", json!({ "row": row(2, "bob", 20.0, "open") })),
                event("updated 2", json!({ "row": row(2, "bob", 20.0, "paid") })),
                event("deleted 1", json!({ "row": row(1, "ada", 9.5, "open") })),
            ]
        );
    });
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(type = "shop.orders.inserted")]
struct OrderInserted {
    row: Value,
}

#[test]
fn a_change_is_an_ordinary_event_with_its_operation_and_actor() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run(
            "PRAGMA foreign_keys = ON; BEGIN; INSERT INTO messagekit_actor (name) VALUES ('ann');
             INSERT INTO orders (id) VALUES (7); DELETE FROM messagekit_actor; COMMIT; INSERT INTO orders (id) VALUES (8)",
        );
        let worker = RecordClaimer::new(shop.topics.store().clone(), "look", TOPIC);
        let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("no events") };
        let messages: Vec<&Message> = claim.records.iter().map(|record| &record.record.message).collect();
        let envelope = Envelope::<OrderInserted>::decode(messages[0]).unwrap();
        assert_eq!((envelope.data.row["id"].as_i64(), &*envelope.meta.source), (Some(7), "shop"));
        let free: Vec<_> = messages
            .iter()
            .map(|message| {
                let free = message.headers.free();
                ["op", "sourceTable", "actor"].map(|name| free.get(name).map(ToString::to_string))
            })
            .collect();
        let named = |actor: Option<&str>| {
            [Some("insert"), Some("orders"), actor].map(|value| value.map(str::to_owned))
        };
        assert_eq!(free, [named(Some("ann")), named(None)]);
    });
}

#[test]
fn an_actor_never_names_the_next_writer() {
    block_on(async {
        let shop = Shop::new().await;
        let left = shop.refused(
            "PRAGMA foreign_keys = ON; BEGIN; INSERT INTO messagekit_actor (name) VALUES ('ann'); COMMIT",
        );
        assert!(left.contains("FOREIGN KEY constraint failed"), "{left}");
        for clause in ["", "OR IGNORE ", "OR REPLACE "] {
            let unchecked =
                shop.refused(&format!("INSERT {clause}INTO messagekit_actor (name) VALUES ('ann')"));
            assert!(unchecked.contains("needs PRAGMA foreign_keys = ON"), "{unchecked}");
        }
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_actor"), 0);
        // The engine's own connections enforce foreign keys.
        let store = shop.topics.store();
        let mut tx = store.begin().await.unwrap();
        tx.call(|c| c.execute("INSERT INTO messagekit_actor (name) VALUES ('ann')", [])).await.unwrap();
        store.commit(tx).await.unwrap_err();
    });
}

#[test]
fn filters_see_old_and_new_rows() {
    block_on(async {
        let shop = Shop::new().await;
        let paid = "OLD.status IS NOT 'paid' AND NEW.status = 'paid' AND (NEW.total BETWEEN 5 AND 50 OR lower(NEW.customer) LIKE 'vip%')";
        shop.topics
            .source("orders")
            .on(Change::Insert | Change::Update)
            .filter(paid)
            .add(TOPIC)
            .await
            .unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'ada', 10, 'open'), (2, 'VIP-1', 900, 'open'), (3, 'bob', 900, 'open'), (4, 'eve', 6, 'paid')");
        shop.run("UPDATE orders SET status = 'paid'");
        shop.run("UPDATE orders SET status = 'paid'; DELETE FROM orders");
        assert_eq!(shop.kinds().await, ["inserted 4", "updated 1", "updated 2"]);
    });
}

#[test]
fn a_bare_column_is_that_of_the_row_that_is_or_was() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").filter("total > 5").partition_by("customer").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1, ''), (2, 'b', 6, ''), (3, 'c', 7, '')");
        shop.run("UPDATE orders SET total = total + 4 WHERE id = 1");
        shop.run("UPDATE orders SET id = 9, total = 3 WHERE id = 2");
        shop.run("DELETE FROM orders");
        assert_eq!(shop.kinds().await, ["inserted b", "inserted c", "deleted b", "deleted c"]);
    });
}

#[test]
fn an_event_holds_the_key_the_row_or_what_differs() {
    block_on(async {
        let shop = Shop::new().await;
        let source = |payload| shop.topics.source("orders").payload(payload).replace();
        source(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'ada', 5, 'open')");
        shop.run("UPDATE orders SET total = 6, status = NULL");
        shop.run("UPDATE orders SET total = 6");
        let changes = json!({ "total": { "before": 5.0, "after": 6.0 }, "status": { "before": "open", "after": null } });
        assert_eq!(
            shop.events().await,
            [
                event("inserted 1", json!({ "row": row(1, "ada", 5.0, "open") })),
                event("updated 1", json!({ "row": { "id": 1 }, "changes": changes })),
            ]
        );
        assert_eq!(source(RowPayload::Key).add(TOPIC).await.unwrap(), AddedSource::Replaced);
        shop.run("UPDATE orders SET total = 7; DELETE FROM orders");
        let key = json!({ "row": { "id": 1 } });
        assert_eq!(shop.events().await, [event("updated 1", key.clone()), event("deleted 1", key)]);
    });
}

#[test]
fn an_update_of_the_key_is_the_end_of_one_row_and_another_one() {
    block_on(async {
        for payload in [RowPayload::Full, RowPayload::Diff] {
            let shop = Shop::new().await;
            shop.topics.source("orders").on(Change::Update).payload(payload).add(TOPIC).await.unwrap();
            shop.run("INSERT INTO orders VALUES (1, 'a', 1, 'x')");
            shop.run("UPDATE orders SET id = 3 WHERE id = 1");
            assert_eq!(
                shop.events().await,
                [
                    event("deleted 1", json!({ "row": row(1, "a", 1.0, "x") })),
                    event("inserted 3", json!({ "row": row(3, "a", 1.0, "x") })),
                ]
            );
        }
    });
}

const WITH_NAMES: &str =
    "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE, total REAL)";

#[test]
fn a_replaced_row_is_an_update_with_its_old_values() {
    block_on(async {
        let shop = Shop::with(WITH_NAMES).await;
        shop.topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)");
        shop.kinds().await;
        shop.run("REPLACE INTO orders VALUES (1, 'a', 5)");
        let changes = json!({ "total": { "before": 1.0, "after": 5.0 } });
        assert_eq!(
            shop.events().await,
            [event("updated 1", json!({ "row": { "id": 1 }, "changes": changes }))]
        );
        // The name is another row's, which goes.
        shop.run("INSERT OR REPLACE INTO orders VALUES (3, 'B', 7)");
        assert_eq!(
            shop.events().await,
            [
                event("deleted 2", json!({ "row": { "id": 2, "name": "b", "total": 2.0 } })),
                event("inserted 3", json!({ "row": { "id": 3, "name": "B", "total": 7.0 } })),
            ]
        );
        shop.run("UPDATE OR REPLACE orders SET name = 'a' WHERE id = 3");
        assert_eq!(shop.kinds().await, ["deleted 1", "updated 3"]);
        // With the pragma the row that goes fires its own trigger.
        shop.run("PRAGMA recursive_triggers = ON; REPLACE INTO orders VALUES (3, 'c', 1)");
        assert_eq!(shop.kinds().await, ["deleted 3", "inserted 3"]);
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_waiting_changes"), 0);
    });
}

#[test]
fn what_a_statement_leaves_alone_is_no_event() {
    block_on(async {
        let shop = Shop::with(WITH_NAMES).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1)");
        shop.run("INSERT OR IGNORE INTO orders VALUES (1, 'x', 1), (2, 'a', 1), (3, 'c', 1)");
        shop.refused("INSERT INTO orders VALUES (4, 'd', 1), (1, 'e', 1)");
        shop.run(
            "INSERT INTO orders VALUES (1, 'z', 9) ON CONFLICT (id) DO UPDATE SET total = excluded.total",
        );
        shop.run("INSERT INTO orders (id, name) VALUES (1, 'z') ON CONFLICT DO NOTHING");
        // What the statements before have noted is no fate of these rows.
        shop.run("DELETE FROM orders WHERE id = 1; INSERT INTO orders VALUES (1, 'a', 2)");
        assert_eq!(shop.kinds().await, ["inserted 1", "inserted 3", "updated 1", "deleted 1", "inserted 1"]);
    });
}

#[test]
fn a_row_whose_number_the_database_chooses_replaces_none() {
    block_on(async {
        let shop = Shop::with(WITH_NAMES).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (-1, 'below', 0)");
        shop.run("INSERT INTO orders (name) VALUES ('a')");
        shop.run("REPLACE INTO orders (name) VALUES ('b')");
        assert_eq!(shop.kinds().await, ["inserted -1", "inserted 0", "inserted 1"]);
    });
}

#[test]
fn a_source_of_some_changes_sees_what_a_replacement_is() {
    block_on(async {
        for (changes, expected) in [
            (Change::Insert.into(), vec!["inserted 1", "inserted 2", "inserted 3"]),
            (Change::Update.into(), vec!["updated 1"]),
            (Change::Delete.into(), vec!["deleted 2"]),
            (Change::Insert | Change::Delete, vec!["inserted 1", "inserted 2", "deleted 2", "inserted 3"]),
        ] {
            let changes: messagekit::log::Changes = changes;
            let shop = Shop::with(WITH_NAMES).await;
            shop.topics.source("orders").on(changes).add(TOPIC).await.unwrap();
            shop.run("INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)");
            shop.run("REPLACE INTO orders VALUES (1, 'a', 5); REPLACE INTO orders VALUES (3, 'b', 5)");
            assert_eq!(shop.kinds().await, expected, "{changes:?}");
        }
    });
}

#[test]
fn a_filter_holds_for_replaced_rows_too() {
    block_on(async {
        let shop = Shop::with(WITH_NAMES).await;
        let grows = "OLD.total IS NULL OR NEW.total IS NULL OR NEW.total > OLD.total";
        shop.topics.source("orders").filter(grows).partition_by("name").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 2)");
        shop.run("REPLACE INTO orders VALUES (1, 'a2', 0); REPLACE INTO orders VALUES (1, 'a3', 3)");
        shop.run("REPLACE INTO orders VALUES (3, 'B', 0)");
        assert_eq!(shop.kinds().await, ["inserted a", "inserted b", "updated a3", "deleted b", "inserted B"]);
    });
}

/// Writes of triggers of the user come between the note of a replaced row and its event.
#[test]
fn triggers_of_the_user_take_no_event_away() {
    block_on(async {
        let shop = Shop::with(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INT);
             CREATE TRIGGER root BEFORE INSERT ON orders WHEN NEW.id <> 1 BEGIN INSERT OR IGNORE INTO orders VALUES (1, 'root', 7); END",
        )
        .await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("CREATE TRIGGER touch AFTER INSERT ON orders BEGIN UPDATE orders SET n = 0 WHERE id = NEW.id; END");
        shop.run("INSERT INTO orders VALUES (2, 'a', 1)");
        assert_eq!(shop.sorted_kinds().await, ["inserted 1", "inserted 2", "updated 1", "updated 2"]);
        shop.run("REPLACE INTO orders VALUES (3, 'a', 3)");
        // The statements of a trigger have the conflict clause of the one that fired it: the root is replaced, too.
        assert_eq!(
            shop.sorted_kinds().await,
            ["deleted 2", "inserted 3", "updated 1", "updated 1", "updated 3"]
        );
        shop.run("REPLACE INTO orders VALUES (3, 'b', 3)");
        assert_eq!(shop.sorted_kinds().await, ["updated 1", "updated 1", "updated 3", "updated 3"]);
        shop.run("CREATE TRIGGER touched AFTER UPDATE OF name ON orders BEGIN UPDATE orders SET n = 1 WHERE id = NEW.id; END");
        shop.run("UPDATE OR REPLACE orders SET name = 'root' WHERE id = 3");
        assert_eq!(shop.sorted_kinds().await, ["deleted 1", "updated 3", "updated 3"]);
    });
}

#[test]
fn actions_of_foreign_keys_take_no_event_away() {
    block_on(async {
        let shop = Shop::with(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, parent REFERENCES orders (id) ON DELETE SET NULL, name TEXT UNIQUE)",
        )
        .await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, NULL, 'a'), (2, 1, 'b'), (3, NULL, 'c'), (4, 3, 'd')");
        shop.kinds().await;
        shop.run("PRAGMA foreign_keys = ON; REPLACE INTO orders VALUES (1, NULL, 'c')");
        assert_eq!(shop.sorted_kinds().await, ["deleted 3", "updated 1", "updated 2", "updated 4"]);
    });
}

#[test]
fn a_replaced_row_is_known_by_its_number() {
    block_on(async {
        let shop = Shop::with("CREATE TABLE orders (id TEXT PRIMARY KEY, email TEXT UNIQUE)").await;
        shop.topics.source("orders").filter("email <> 'x'").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (NULL, 'a'), (NULL, 'b'), (NULL, 'c')");
        shop.run("UPDATE OR REPLACE orders SET email = 'a' WHERE email = 'b'");
        shop.run("REPLACE INTO orders VALUES ('k', 'c')");
        assert_eq!(
            shop.sorted_kinds().await,
            ["deleted -", "deleted -", "inserted -", "inserted -", "inserted -", "inserted k", "updated -"]
        );
    });
}

#[test]
fn a_row_that_a_default_replaces_is_seen() {
    block_on(async {
        let shop = Shop::with(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, email TEXT NOT NULL DEFAULT 'none' UNIQUE)",
        )
        .await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (-1, 'none'), (2, 'b')");
        shop.run("REPLACE INTO orders VALUES (2, NULL)");
        shop.run("REPLACE INTO orders (email) VALUES ('none')");
        let row = |id: i64, email: &str| json!({ "row": { "id": id, "email": email } });
        assert_eq!(
            shop.events().await,
            [
                event("inserted -1", row(-1, "none")),
                event("inserted 2", row(2, "b")),
                event("deleted -1", row(-1, "none")),
                event("updated 2", row(2, "none")),
                event("deleted 2", row(2, "none")),
                event("inserted 3", row(3, "none")),
            ]
        );
    });
}

#[test]
fn values_are_written_as_they_are_whatever_made_them() {
    block_on(async {
        let shop = Shop::with("CREATE TABLE orders (id REAL PRIMARY KEY, data TEXT, at)").await;
        shop.topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (0.3, json('{\"a\":1}'), 1732560000.123456)");
        shop.run("UPDATE orders SET at = 1732560000.123457");
        let events = shop.events().await;
        assert_eq!(events[0].0, "inserted 0.3");
        assert_eq!(events[0].1["row"], json!({ "id": 0.3, "data": "{\"a\":1}", "at": 1732560000.123456 }));
        let changes = json!({ "at": { "before": 1732560000.123456, "after": 1732560000.123457 } });
        assert_eq!(events[1].1["changes"], changes);
    });
}

#[test]
fn a_table_that_is_built_anew_goes_on() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").payload(RowPayload::Key).add(TOPIC).await.unwrap();
        shop.run(&format!(
            "BEGIN; {}; INSERT INTO next SELECT id, customer, total, NULL, status FROM orders; DROP TABLE orders;
             ALTER TABLE next RENAME TO orders; COMMIT",
            ORDERS.replace("orders", "next").replace("status TEXT", "note TEXT, status TEXT")
        ));
        eventually("the source goes on", DEADLINE, async || shop.faults().await == [None]).await;
        shop.run("INSERT INTO orders (id) VALUES (7)");
        assert_eq!(shop.kinds().await, ["inserted 7"]);
    });
}

#[test]
fn a_file_of_another_encoding_has_the_same_events() {
    block_on(async {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("wide.db");
        let made = messagekit_sqlite::rusqlite::Connection::open(&path).unwrap();
        made.execute_batch(
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE orders (id INTEGER PRIMARY KEY, name TEXT)",
        )
        .unwrap();
        let topics = Topics::open(&path).await.unwrap();
        let orders = topics.untyped(TOPIC).open().await.unwrap();
        topics.source("orders").add(TOPIC).await.unwrap();
        made.execute("INSERT INTO orders VALUES (1, 'zwölf')", []).unwrap();
        let all: Vec<_> = orders.iter_new().try_collect().await.unwrap();
        assert_eq!(all[0].data["row"], json!({ "id": 1, "name": "zwölf" }));
        topics.close().await.unwrap();
    });
}

#[test]
fn names_keys_and_values_of_every_kind_are_kept() {
    block_on(async {
        let shop = Shop::with(
            "CREATE TABLE \"my 'orders'\" (\"Key \"\"1\" TEXT, source BLOB, event_id, half AS (event_id / 2), PRIMARY KEY (\"Key \"\"1\", source)) WITHOUT ROWID",
        )
        .await;
        shop.topics.source("\"my 'orders'\"").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO \"my 'orders'\" (\"Key \"\"1\", source, event_id) VALUES ('it''s', x'00ff', 7), ('n', 9223372036854775807, 9e999), ('z', 1.5, CAST(x'ff41' AS TEXT)), ('0', 'a' || char(0) || 'b', NULL)");
        shop.run("UPDATE \"my 'orders'\" SET event_id = x'01' WHERE source = x'00ff'");
        let row = |key: &str, source: Value, id: Value, half: Value| json!({ "Key \"1": key, "source": source, "event_id": id, "half": half });
        let events = shop.events().await;
        let held: Vec<&Value> = events.iter().take(4).map(|(_, held)| &held["row"]).collect();
        assert_eq!(
            held,
            [
                &row("it's", json!("\\x00ff"), json!(7), json!(3)),
                &row("n", json!(i64::MAX), json!("Infinity"), json!("Infinity")),
                &row("z", json!(1.5), json!("?A"), json!(0)),
                &row("0", json!("a\0b"), Value::Null, Value::Null),
            ]
        );
        assert_eq!(events[0].0, "inserted {\"Key \\\"1\":\"it's\",\"source\":\"\\\\x00ff\"}");
        assert_eq!(
            events[4].1,
            json!({
                "row": { "Key \"1": "it's", "source": "\\x00ff" },
                "changes": { "event_id": { "before": 7, "after": "\\x01" }, "half": { "before": 3, "after": 0 } },
            })
        );
        let kinds = kinds_of(&shop).await;
        assert!(kinds.iter().all(|kind| kind.starts_with("shop.my--orders.")), "{kinds:?}");
    });
}

/// Returns the types of all events.
async fn kinds_of(shop: &Shop) -> Vec<String> {
    let all: Vec<_> = shop.orders.iter_handled().try_collect().await.unwrap();
    all.iter().map(|record| record.data["eventType"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_table_of_many_columns_is_one_object() {
    block_on(async {
        let columns: Vec<String> = (0..700).map(|number| format!("c{number}")).collect();
        let shop =
            Shop::with(&format!("CREATE TABLE orders (id INTEGER PRIMARY KEY, {})", columns.join(", ")))
                .await;
        shop.topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders (id, c0, c699) VALUES (1, 'a}', '{b')");
        shop.run("UPDATE orders SET c699 = 2");
        let events = shop.events().await;
        let row = events[0].1["row"].as_object().unwrap();
        assert_eq!(
            (row.len(), &row["c0"], &row["c1"], &row["c699"]),
            (701, &json!("a}"), &Value::Null, &json!("{b"))
        );
        assert_eq!(events[1].1["changes"], json!({ "c699": { "before": "{b", "after": 2 } }));
    });
}

#[test]
fn an_event_that_is_too_large_fails_the_write() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        for clause in ["", "OR IGNORE ", "OR REPLACE "] {
            let insert = format!(
                "INSERT {clause}INTO orders (id, customer) VALUES (1, replace(hex(zeroblob(450000)), '00', 'ab'))"
            );
            let error = shop.refused(&insert);
            assert!(error.contains("event of table orders for topic shop.orders is larger than"), "{error}");
        }
        assert_eq!(shop.rows("SELECT count(*) FROM orders"), 0);
        shop.run("INSERT INTO orders (id, customer) VALUES (1, replace(hex(zeroblob(430000)), '00', 'ab'))");
        assert_eq!(shop.kinds().await, ["inserted 1"]);
    });
}

/// A file in UTF-16 keeps two bytes of a letter where UTF-8 has one, and two where it has three.
#[test]
fn a_file_in_utf16_counts_an_event_in_utf8() {
    block_on(async {
        let shop = Shop::on_file_with(&format!("PRAGMA encoding = 'UTF-16'; {ORDERS}")).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        let insert = |letters: u32, text: &str| {
            format!(
                "INSERT INTO orders (customer) VALUES (replace(hex(zeroblob({letters})), '00', '{text}'))"
            )
        };
        shop.run(&insert(430_000, "ab"));
        let error = shop.refused(&insert(300_000, "€"));
        assert!(error.contains("larger than 880000 bytes"), "{error}");
        shop.run(&insert(290_000, "€"));
        assert_eq!(shop.kinds().await, ["inserted 1", "inserted 2"]);
    });
}

#[test]
fn sources_of_one_table_do_not_disturb_each_other() {
    block_on(async {
        let shop = Shop::with(WITH_NAMES).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.topics
            .source("orders")
            .filter("total > 5")
            .payload(RowPayload::Key)
            .add("shop.large")
            .await
            .unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 9)");
        shop.run("REPLACE INTO orders VALUES (1, 'a', 9), (3, 'b', 1)");
        assert_eq!(shop.kinds().await, ["inserted 1", "inserted 2", "updated 1", "deleted 2", "inserted 3"]);
        let large = shop.topics.untyped("shop.large").open().await.unwrap();
        assert_eq!(large.count().await.unwrap().new, 3, "inserted 2, updated 1, deleted 2");
        shop.topics.drop_source(TOPIC, "orders").await.unwrap();
        shop.run("DELETE FROM orders; INSERT INTO orders VALUES (7, 'g', 7)");
        assert_eq!(shop.kinds().await, Vec::<String>::new());
        assert_eq!(large.count().await.unwrap().new, 5);
    });
}

#[test]
fn changes_of_our_own_transactions_are_events_too() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        let store = shop.topics.store();
        let mut tx = store.begin().await.unwrap();
        tx.call(|c| c.execute("INSERT INTO orders (id) VALUES (1)", [])).await.unwrap();
        // The task that holds the file cannot move its own changes, and is not stopped by them.
        assert_eq!(shop.orders.count().await.unwrap().new, 0);
        store.commit(tx).await.unwrap();
        assert_eq!(shop.kinds().await, ["inserted 1"]);
        let mut tx = store.begin().await.unwrap();
        tx.call(|c| c.execute("INSERT INTO orders (id) VALUES (2)", [])).await.unwrap();
        store.rollback(tx).await.unwrap();
        assert_eq!(shop.kinds().await, Vec::<String>::new());
    });
}

#[test]
fn changes_for_a_published_topic_are_pending_for_a_relay() {
    block_on(async {
        let shop = Shop::new().await;
        let sold = shop.topics.untyped("shop.sold").published().open().await.unwrap();
        shop.topics.source("orders").filter("status = 'paid'").add("shop.sold").await.unwrap();
        shop.run("INSERT INTO orders (id, status) VALUES (1, 'open'), (2, 'paid')");
        shop.topics.store().due().await.unwrap();
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_outbox_pending"), 1);
        assert_eq!(sold.count().await.unwrap().new, 1);
    });
}

#[test]
fn a_large_statement_is_as_many_events_in_its_order() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").payload(RowPayload::Key).add(TOPIC).await.unwrap();
        shop.run("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) INSERT INTO orders (id) SELECT i FROM n");
        assert_eq!(shop.orders.count().await.unwrap().new, 5_000);
        let mut expected = 1;
        let mut all = std::pin::pin!(shop.orders.iter_new());
        while let Some(record) = all.try_next().await.unwrap() {
            assert_eq!(
                (record.data["row"]["id"].as_i64(), record.status),
                (Some(expected), RecordStatus::New)
            );
            expected += 1;
        }
        assert_eq!(expected, 5_001);
    });
}

#[test]
fn the_next_program_appends_what_others_have_left_waiting() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        let path = shop.path.clone();
        shop.topics.clone().close().await.unwrap();
        shop.run("INSERT INTO orders (id) VALUES (1)");
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_waiting_changes"), 1);
        let store = SqliteStore::open(&path).await.unwrap();
        let worker = RecordClaimer::new(store.clone(), "shipping", TOPIC);
        let Claimed::Records(claim) = worker.claim(10).await.unwrap() else { panic!("no events") };
        assert_eq!(claim.records.len(), 1);
        worker.acknowledge(&claim, Which::All).await.unwrap();
        store.close().await.unwrap();
    });
}

/// The claim gives the changes their offsets, and looks at their keys in the same transaction.
#[test]
fn a_change_waits_for_its_key_also_when_the_claim_appends_it() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        let worker = |store| RecordClaimer::new(store, "shipping", TOPIC).ordered_by_key();
        shop.run("INSERT INTO orders (id) VALUES (1)");
        let first = worker(shop.topics.store().clone());
        let Claimed::Records(claim) = first.claim(10).await.unwrap() else { panic!("no events") };
        first.retry(&claim, Which::All, Duration::from_secs(3_600), "no stock").await.unwrap();
        drop(first);
        let path = shop.path.clone();
        shop.topics.clone().close().await.unwrap();
        shop.run("UPDATE orders SET total = 7 WHERE id = 1; INSERT INTO orders (id) VALUES (2)");
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_waiting_changes"), 2);
        let store = SqliteStore::open(&path).await.unwrap();
        let Claimed::Records(claim) = worker(store.clone()).claim(10).await.unwrap() else {
            panic!("no events")
        };
        let offsets: Vec<i64> = claim.records.iter().map(|record| record.record.position.offset).collect();
        assert_eq!(offsets, [2], "the update waits for the insert");
        store.close().await.unwrap();
    });
}

#[test]
fn a_source_is_added_once_replaced_on_request_and_dropped() {
    block_on(async {
        let shop = Shop::new().await;
        let source = || shop.topics.source("orders").filter("total > 1");
        assert_eq!(source().add(TOPIC).await.unwrap(), AddedSource::Added);
        assert_eq!(source().add(TOPIC).await.unwrap(), AddedSource::Same);
        let error = shop.topics.source("ORDERS").add(TOPIC).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WrongState);
        let replaced = shop.topics.source("main.orders").replace().add(TOPIC).await.unwrap();
        assert_eq!(replaced, AddedSource::Replaced);
        shop.run("INSERT INTO orders (id) VALUES (1)");
        assert!(shop.topics.drop_source(TOPIC, "orders").await.unwrap());
        assert!(!shop.topics.drop_source(TOPIC, "orders").await.unwrap());
        shop.run("INSERT INTO orders (id) VALUES (2)");
        assert_eq!(shop.kinds().await, ["inserted 1"], "what was made stays");
        assert_eq!(shop.rows("SELECT count(*) FROM sqlite_schema WHERE name GLOB 'messagekit_source_*'"), 0);
    });
}

#[test]
fn a_topic_that_tables_feed_is_dropped_with_them_or_not_at_all() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders (id) VALUES (1)");
        let refused = shop.topics.drop(TOPIC).await.unwrap_err();
        assert_eq!((refused.kind(), refused.context("sources")), (ErrorKind::WrongState, Some("orders")));
        assert_eq!(shop.orders.count().await.unwrap().all, 1, "nothing was dropped");
        shop.topics.drop_with_sources(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders (id) VALUES (2)");
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_waiting_changes"), 0);
        let again = shop.topics.untyped(TOPIC).open().await.unwrap();
        assert_eq!(again.count().await.unwrap().all, 0);
        assert_eq!(shop.topics.sources().await.unwrap(), []);
    });
}

#[test]
fn what_cannot_be_a_source_is_refused_with_the_reason() {
    block_on(async {
        let shop = Shop::new().await;
        shop.run("CREATE VIEW open AS SELECT * FROM orders; CREATE TABLE keyless (a); CREATE VIRTUAL TABLE words USING fts5 (text)");
        for (table, kind, text) in [
            ("nothing", ErrorKind::NotFound, "no such table"),
            ("other.orders", ErrorKind::InvalidConfiguration, "cannot be read"),
            ("open", ErrorKind::InvalidConfiguration, "name its table"),
            ("words", ErrorKind::InvalidConfiguration, "only tables of this file"),
            ("messagekit_topics", ErrorKind::InvalidConfiguration, "of the database itself"),
            ("sqlite_schema", ErrorKind::InvalidConfiguration, "of the database itself"),
        ] {
            let error = shop.topics.source(table).add(TOPIC).await.unwrap_err();
            assert_eq!(error.kind(), kind, "{table}: {error}");
            assert!(error.to_string().contains(text), "{table}: {error}");
        }
        let keyless = shop.topics.source("keyless").payload(RowPayload::Key).add(TOPIC).await.unwrap_err();
        assert!(keyless.to_string().contains("no primary key"), "{keyless}");
        for (filter, text) in [
            ("random() > 1", "calls a function"),
            ("date('now') > '2026'", "calls a function"),
            ("load_extension('x') = 1", "calls a function"),
            ("missing > 1", "reason no such column: missing)"),
            ("OLD.missing > 1", "reason no such column: OLD.missing)"),
            ("id IN (SELECT 1)", "write one over columns"),
            ("id = 1; DROP TABLE orders", "cannot be parsed"),
        ] {
            let error = shop.topics.source("orders").filter(filter).add(TOPIC).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{filter}: {error}");
            assert!(messagekit::chain(&error).contains(text), "{filter}: {}", messagekit::chain(&error));
        }
        let aside =
            shop.topics.source("orders").on_failure(OnSourceFailure::SetAside).add(TOPIC).await.unwrap_err();
        assert!(aside.to_string().contains("cannot set a row aside"), "{aside}");
        assert_eq!(shop.topics.sources().await.unwrap(), []);
        shop.run("INSERT INTO orders (id) VALUES (1)");
        assert_eq!(shop.kinds().await, Vec::<String>::new());
    });
}

/// A shop whose table another program has changed since its triggers were made.
async fn altered() -> Shop {
    for _ in 0..20 {
        let shop = Shop::new().await;
        shop.topics.source("orders").payload(RowPayload::Diff).filter("total > 0").add(TOPIC).await.unwrap();
        shop.run("ALTER TABLE orders ADD COLUMN note TEXT DEFAULT '-'; ALTER TABLE orders RENAME COLUMN customer TO buyer");
        match shop.faults().await[..] {
            [Some(SourceFault::TriggerChanged)] => return shop,
            // The writer of this process has looked in between, and has made them anew.
            [None] => {}
            ref other => panic!("{other:?}"),
        }
    }
    panic!("the fault is never shown")
}

#[test]
fn a_table_that_changes_goes_on_or_shows_its_fault() {
    block_on(async {
        let shop = altered().await;
        // A program that opens the file makes the triggers anew.
        let other = Topics::open(&shop.path).await.unwrap();
        other.untyped(TOPIC).open().await.unwrap();
        assert_eq!(shop.faults().await, [None]);
        shop.run("INSERT INTO orders (id, buyer, total) VALUES (1, 'ada', 1)");
        let expected =
            json!({ "row": { "id": 1, "buyer": "ada", "total": 1.0, "status": "open", "note": "-" } });
        assert_eq!(shop.events().await, [event("inserted 1", expected)]);

        let error = shop.refused("ALTER TABLE orders DROP COLUMN note");
        assert!(error.contains("messagekit_source_"), "{error}");
        shop.run("ALTER TABLE orders RENAME TO sales");
        assert_eq!(shop.faults().await, [Some(SourceFault::TableRenamed)]);
        assert_eq!(shop.topics.sources().await.unwrap()[0].renamed_to.as_deref(), Some("sales"));
        assert!(shop.topics.drop_source(TOPIC, "orders").await.unwrap());
        shop.run("INSERT INTO sales (id, total) VALUES (9, 1)");
        assert_eq!(shop.kinds().await, Vec::<String>::new());

        shop.topics.source("sales").add(TOPIC).await.unwrap();
        shop.run("ALTER TABLE sales RENAME TO sold; CREATE VIEW sales AS SELECT * FROM sold");
        assert_eq!(shop.faults().await, [Some(SourceFault::TableRenamed)], "the name is that of a view");
        let problems = shop.topics.store().lag().await.unwrap().problems;
        assert!(
            problems[0]
                .starts_with("table source sales of topic shop.orders: the table has another name, sold"),
            "{problems:?}"
        );
        let found = FileDoctor::new(&shop.path).diagnose().await.findings;
        let faulty = found.iter().find(|finding| finding.check.name == "table-source-faulty").unwrap();
        let repair: Vec<&str> = faulty.repair.iter().map(Repair::text).collect();
        assert!(repair[0].starts_with("messagekit topics source add shop.orders sold"), "{repair:?}");
        assert!(repair[1].starts_with("messagekit topics source drop shop.orders sales"), "{repair:?}");
        shop.run("DROP VIEW sales; ALTER TABLE sold RENAME TO sales");
        eventually("the source goes on", DEADLINE, async || shop.faults().await == [None]).await;
        shop.run("DROP TABLE sales; CREATE TABLE sales (number TEXT PRIMARY KEY)");
        assert_eq!(shop.faults().await, [Some(SourceFault::KeyChanged)]);
        other.close().await.unwrap();
    });
}

#[test]
fn a_stray_row_in_our_own_table_stops_no_event() {
    block_on(async {
        let shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run(
            "INSERT INTO messagekit_waiting_changes (topic, key) VALUES (NULL, 5), (x'ff', x'ff'), ('a', 1)",
        );
        shop.run("INSERT INTO orders (id) VALUES (1)");
        assert_eq!(shop.kinds().await, ["inserted 1"]);
        assert_eq!(shop.rows("SELECT count(*) FROM messagekit_outbox_delayed"), 2, "kept for an operator");
    });
}
