//! Tables of the user whose changes become events, whatever program makes them.

use std::process::Command;

use futures_util::TryStreamExt;
use messagekit::log::{Change, RowPayload, SourceFault};
use messagekit::{Envelope, ErrorKind, Event, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{block_on, unique};
use messagekit_tests::Database;
use messagekit_topic_store::{AddedSource, RecordReads};
use messagekit_topics::{Topic, Topics};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

pub(super) const TOPIC: &str = "shop.orders";

/// A database with a table that knows nothing of us, and a topic of it.
pub(super) struct Shop {
    pub(super) database: Database,
    pub(super) topics: Topics<PostgresStore>,
    pub(super) orders: Topic<Value, PostgresStore>,
    pub(super) connection: PgConnection,
}

impl Shop {
    pub(super) async fn new() -> Self {
        Self::with("CREATE TABLE orders (id bigint PRIMARY KEY, customer text, total numeric, status text DEFAULT 'open')").await
    }

    pub(super) async fn with(schema: &str) -> Self {
        let database = Database::fresh().await;
        // The role of the tests has the name of our schema, where no table of the user belongs.
        let to_public =
            AssertSqlSafe(format!("ALTER DATABASE {} SET search_path TO public", database.name()));
        sqlx::raw_sql(to_public).execute(&mut database.connection().await).await.unwrap();
        let topics = Topics::of(database.store().await);
        let orders = topics.untyped(TOPIC).open().await.unwrap();
        let connection = database.connection().await;
        let mut shop = Self { database, topics, orders, connection };
        shop.run(schema).await;
        shop
    }

    pub(super) async fn run(&mut self, sql: &str) {
        self.try_run(sql).await.unwrap();
    }

    pub(super) async fn try_run(&mut self, sql: &str) -> Result<(), sqlx::Error> {
        sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut self.connection).await.map(drop)
    }

    /// Returns (last part of the type, key, what the event holds) of each new event, and handles them.
    pub(super) async fn events(&self) -> Vec<(String, Option<String>, Value)> {
        let page: Vec<_> = self.orders.iter_new().try_collect().await.unwrap();
        let mut events = Vec::new();
        for record in page {
            let kept = self.topics.store().read_records(&query(record.id)).await.unwrap().records.remove(0);
            let message = kept.record.message;
            let own = message.headers.text(headers::EVENT_TYPE).unwrap();
            let key = message.key.map(|key| String::from_utf8(key.to_vec()).unwrap());
            assert_eq!(record.data["aggregateId"].as_str(), key.as_deref());
            let mut held = json!({});
            for part in ["row", "changes"] {
                if let Some(value) = record.data.get(part) {
                    held[part] = value.clone();
                }
            }
            events.push((own.rsplit('.').next().unwrap().to_owned(), key, held));
            self.orders.set_handled(record.id).await.unwrap();
        }
        events
    }
}

fn query(id: i64) -> messagekit_topic_store::RecordQuery {
    messagekit_topic_store::RecordQuery {
        consumer: "look".into(),
        topic: TOPIC.into(),
        status: None,
        after: id - 1,
        max: 1,
    }
}

fn event(kind: &str, key: &str, held: Value) -> (String, Option<String>, Value) {
    (kind.to_owned(), Some(key.to_owned()), held)
}

fn row(id: i64, customer: &str, total: f64, status: &str) -> Value {
    json!({ "id": id, "customer": customer, "total": total, "status": status })
}

#[test]
fn changes_by_psql_become_events_in_the_same_commit() {
    block_on(async {
        let shop = Shop::new().await;
        assert_eq!(shop.topics.source("orders").add(TOPIC).await.unwrap(), AddedSource::Added);
        let psql = |sql: &str| {
            let done = Command::new("psql").args([shop.database.url(), "-qc", sql]).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        psql("INSERT INTO orders VALUES (1, 'ada', 9.5), (2, 'bob', 20)");
        psql("BEGIN; INSERT INTO orders VALUES (3, 'eve', 1); ROLLBACK");
        psql("UPDATE orders SET status = 'paid' WHERE id = 2");
        psql("DELETE FROM orders WHERE id = 1");
        psql("DELETE FROM orders WHERE id = 99");
        assert_eq!(
            shop.events().await,
            [
                event("inserted", "1", json!({ "row": row(1, "ada", 9.5, "open") })),
                event("inserted", "2", json!({ "row": row(2, "bob", 20.0, "open") }).clone()),
                event("updated", "2", json!({ "row": row(2, "bob", 20.0, "paid") })),
                event("deleted", "1", json!({ "row": row(1, "ada", 9.5, "open") })),
            ]
            .map(|(kind, key, held)| (kind, key, whole(held)))
        );
    });
}

/// A whole number of `numeric` has no fraction in JSON.
fn whole(mut held: Value) -> Value {
    if let Some(total) = held["row"]["total"].as_f64().filter(|total| total.fract() == 0.0) {
        held["row"]["total"] = json!(total as i64);
    }
    held
}

#[derive(Event, Serialize, Deserialize, Debug)]
#[event(type = "shop.orders.inserted")]
struct OrderInserted {
    row: Value,
}

#[test]
fn a_change_is_an_ordinary_event_with_its_operation_and_actor() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("BEGIN; SET LOCAL messagekit.actor = 'ann'; INSERT INTO orders (id) VALUES (7); COMMIT")
            .await;
        let kept = shop.topics.store().read_records(&query(1)).await.unwrap().records.remove(0);
        let message = kept.record.message;
        let envelope = Envelope::<OrderInserted>::decode(&message).unwrap();
        assert_eq!(
            (envelope.data.row["id"].as_i64(), &*envelope.meta.source),
            (Some(7), shop.database.name())
        );
        let free = message.headers.free();
        let named = |name: &str| free.get(name).map(String::as_str);
        assert_eq!(
            (named("op"), named("sourceTable"), named("actor")),
            (Some("insert"), Some("public.orders"), Some("ann"))
        );
    });
}

#[test]
fn filters_see_old_and_new_rows() {
    block_on(async {
        let mut shop = Shop::new().await;
        let paid = "OLD.status IS DISTINCT FROM 'paid' AND NEW.status = 'paid' AND (NEW.total BETWEEN 5 AND 50 OR lower(NEW.customer) LIKE 'vip%')";
        shop.topics
            .source("orders")
            .on(Change::Insert | Change::Update)
            .filter(paid)
            .add(TOPIC)
            .await
            .unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'ada', 10, 'open'), (2, 'VIP-1', 900, 'open'), (3, 'bob', 900, 'open'), (4, 'eve', 6, 'paid')").await;
        shop.run("UPDATE orders SET status = 'paid'").await;
        shop.run("UPDATE orders SET status = 'paid'; DELETE FROM orders").await;
        let keys: Vec<_> =
            shop.events().await.into_iter().map(|(kind, key, _)| (kind, key.unwrap())).collect();
        let expected = [("inserted", "4"), ("updated", "1"), ("updated", "2")];
        assert_eq!(keys, expected.map(|(kind, key)| (kind.to_owned(), key.to_owned())));
    });
}

#[test]
fn a_bare_column_is_that_of_the_row_that_is_or_was() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").filter("total > 5").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'a', 1), (2, 'b', 6), (3, 'c', 7)").await;
        shop.run("UPDATE orders SET total = total + 4 WHERE id = 1").await;
        shop.run("UPDATE orders SET id = 9, total = 3 WHERE id = 2").await;
        shop.run("DELETE FROM orders").await;
        let keys: Vec<_> = shop
            .events()
            .await
            .into_iter()
            .map(|(kind, key, _)| format!("{kind} {}", key.unwrap()))
            .collect();
        assert_eq!(keys, ["inserted 2", "inserted 3", "deleted 2", "deleted 3"]);
    });
}

#[test]
fn an_event_holds_the_key_the_row_or_what_differs() {
    block_on(async {
        let mut shop = Shop::new().await;
        let source = |shop: &Shop, payload| shop.topics.source("orders").payload(payload).replace();
        source(&shop, RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'ada', 5)").await;
        shop.run("UPDATE orders SET total = 6, status = NULL").await;
        shop.run("UPDATE orders SET total = 6").await;
        let changes =
            json!({ "total": { "before": 5, "after": 6 }, "status": { "before": "open", "after": null } });
        assert_eq!(
            shop.events().await,
            [
                event(
                    "inserted",
                    "1",
                    json!({ "row": { "id": 1, "customer": "ada", "total": 5, "status": "open" } })
                ),
                event("updated", "1", json!({ "row": { "id": 1 }, "changes": changes })),
            ]
        );
        assert_eq!(source(&shop, RowPayload::Key).add(TOPIC).await.unwrap(), AddedSource::Replaced);
        shop.run("UPDATE orders SET total = 7; DELETE FROM orders").await;
        assert_eq!(
            shop.events().await,
            [
                event("updated", "1", json!({ "row": { "id": 1 } })),
                event("deleted", "1", json!({ "row": { "id": 1 } }))
            ]
        );
    });
}

#[test]
fn an_update_of_the_key_is_the_end_of_one_row_and_another_one() {
    block_on(async {
        for payload in [RowPayload::Full, RowPayload::Diff] {
            let mut shop =
                Shop::with("CREATE TABLE orders (id int PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v text)")
                    .await;
            shop.topics.source("orders").on(Change::Update).payload(payload).add(TOPIC).await.unwrap();
            shop.run("INSERT INTO orders VALUES (1, 'a'), (2, 'b')").await;
            shop.run("UPDATE orders SET id = 3 WHERE id = 1").await;
            let mut events = shop.events().await;
            events.sort_by(|a, b| a.0.cmp(&b.0));
            assert_eq!(
                events,
                [
                    event("deleted", "1", json!({ "row": { "id": 1, "v": "a" } })),
                    event("inserted", "3", json!({ "row": { "id": 3, "v": "a" } })),
                ]
            );
            // Two rows that change places: what stands under each key has changed.
            shop.run("UPDATE orders SET id = 5 - id").await;
            let mut kinds: Vec<_> =
                shop.events().await.into_iter().map(|(kind, key, _)| (kind, key.unwrap())).collect();
            kinds.sort();
            assert_eq!(
                kinds,
                [("updated".to_owned(), "2".to_owned()), ("updated".to_owned(), "3".to_owned())]
            );
        }
    });
}

#[test]
fn names_keys_and_values_of_every_kind_are_kept() {
    block_on(async {
        let mut shop = Shop::with(
            "CREATE SCHEMA \"My Shop\"; CREATE TYPE \"My Shop\".kind AS ENUM ('large', 'small');
             CREATE TABLE \"My Shop\".\"Order'Lines\" (\"Order\" int, \"line\" text, source text, event_id uuid, blob bytea, price numeric,
               kind \"My Shop\".kind, made timestamptz, tags text[], data jsonb, twice numeric GENERATED ALWAYS AS (price * 2) STORED,
               PRIMARY KEY (\"line\", \"Order\"))",
        )
        .await;
        let source =
            shop.topics.source("\"My Shop\".\"Order'Lines\"").filter("kind = 'large' AND \"Order\" > 0");
        source.partition_by("\"Order\"").add(TOPIC).await.unwrap();
        shop.run(
            "INSERT INTO \"My Shop\".\"Order'Lines\" VALUES (1, 'a \"b\" \\ é', 'mine', NULL, '\\x00ff', 'NaN', 'large',
               '2026-11-25 12:00:00Z', '{x,NULL}', '{\"n\": 12345678901234567890.5}')",
        )
        .await;
        let events = shop.events().await;
        let row = json!({
            "Order": 1, "line": "a \"b\" \\ é", "source": "mine", "event_id": null, "blob": "\\x00ff", "price": "NaN", "kind": "large",
            "made": events[0].2["row"]["made"], "tags": ["x", null], "data": events[0].2["row"]["data"], "twice": "NaN"
        });
        assert_eq!(events, [event("inserted", "1", json!({ "row": row }))]);
        shop.topics.source("\"My Shop\".\"Order'Lines\"").replace().add(TOPIC).await.unwrap();
        shop.run("UPDATE \"My Shop\".\"Order'Lines\" SET price = 2").await;
        let events = shop.events().await;
        let key: Value = serde_json::from_str(events[0].1.as_deref().unwrap()).unwrap();
        assert_eq!(key, json!({ "line": "a \"b\" \\ é", "Order": 1 }));
        assert_eq!((&events[0].2["row"]["price"], &events[0].2["row"]["twice"]), (&json!(2), &json!(4)));
    });
}

/// Names and literals end up inside a function: none ends it.
#[test]
fn hostile_names_and_literals_stay_what_they_are() {
    block_on(async {
        let mut shop = Shop::with(
            "CREATE TABLE orders (\"a$source$;DROP TABLE orders;--\" int, \"b'$source_$\" int, v text,
               PRIMARY KEY (\"a$source$;DROP TABLE orders;--\", \"b'$source_$\"))",
        )
        .await;
        let filter = "v = 'x''''y' OR v = '$source$' OR v = '''); DROP TABLE orders; --'";
        shop.topics.source("orders").filter(filter).payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        let rows =
            "(1, 1, 'x''''y'), (2, 2, 'x''y'), (3, 3, '$source$'), (4, 4, '''); DROP TABLE orders; --')";
        shop.run(&format!("INSERT INTO orders VALUES {rows}")).await;
        shop.run("UPDATE orders SET v = '$source$' WHERE v = 'x''y'").await;
        let kinds: Vec<_> = shop
            .events()
            .await
            .into_iter()
            .map(|(kind, _, held)| format!("{kind} {}", held["row"]["b'$source_$"]))
            .collect();
        assert_eq!(kinds, ["inserted 1", "inserted 3", "inserted 4", "updated 2"]);
        let refused = shop
            .topics
            .source("orders")
            .filter(r"v = '\''); DROP TABLE orders; --'")
            .replace()
            .add(TOPIC)
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidConfiguration);
    });
}

#[test]
fn keys_and_values_depend_on_no_setting_of_the_writer() {
    block_on(async {
        let mut shop = Shop::with("CREATE TABLE orders (at timestamptz PRIMARY KEY, blob bytea)").await;
        shop.topics.source("orders").on(Change::Insert).add(TOPIC).await.unwrap();
        let insert = r"INSERT INTO orders VALUES ('2026-11-25 12:00:00Z', '\x00ff')";
        shop.run(insert).await;
        shop.run("SET timezone = 'Europe/Berlin'; SET datestyle = 'German'; SET bytea_output = 'escape'; DELETE FROM orders").await;
        shop.run(insert).await;
        let events = shop.events().await;
        assert_eq!((events.len(), &events[0]), (2, &events[1]));
        assert_eq!(events[0].1.as_deref(), Some("2026-11-25 12:00:00+00"));
    });
}

#[test]
fn a_truncated_table_is_one_event() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").on(Change::Delete).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders (id) SELECT n FROM generate_series(1, 1000) n; TRUNCATE orders").await;
        assert_eq!(shop.events().await, [("truncated".to_owned(), None, json!({}))]);
    });
}

#[test]
fn writes_to_parts_of_a_table_are_seen() {
    block_on(async {
        let mut shop = Shop::with(
            "CREATE TABLE orders (id int, day int, v text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
             CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1); CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)",
        )
        .await;
        let refused = shop.topics.source("orders_1").add(TOPIC).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
        let moves = shop.topics.source("orders").on(Change::Update).add(TOPIC).await.unwrap_err();
        assert_eq!(moves.kind(), ErrorKind::InvalidConfiguration, "a row that moves is deleted and inserted");
        shop.topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders_1 VALUES (1, 1, 'a'); INSERT INTO orders VALUES (2, 2, 'b')").await;
        shop.run("UPDATE orders SET v = 'c' WHERE id = 1; UPDATE orders SET v = v; UPDATE orders SET day = 1 WHERE day = 2; DELETE FROM orders").await;
        // A partition that comes later.
        shop.run("CREATE TABLE orders_3 PARTITION OF orders FOR VALUES IN (3); INSERT INTO orders_3 VALUES (3, 3, 'd')").await;
        let kinds: Vec<_> = shop
            .events()
            .await
            .into_iter()
            .map(|(kind, _, held)| format!("{kind} {}", held["row"]["id"]))
            .collect();
        let moved = ["deleted 2", "inserted 2"];
        assert_eq!(
            kinds,
            [
                "inserted 1",
                "inserted 2",
                "updated 1",
                moved[0],
                moved[1],
                "deleted 1",
                "deleted 2",
                "inserted 3"
            ]
        );
    });
}

#[test]
fn a_writer_needs_no_right_but_on_its_table() {
    block_on(async {
        let mut shop = Shop::new().await;
        let role = unique("clerk").replace(['.', '-'], "_");
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run(&format!("CREATE ROLE {role}; GRANT INSERT ON orders TO {role}; SET ROLE {role}")).await;
        shop.run("INSERT INTO orders (id, customer) VALUES (1, 'ada')").await;
        let denied = shop.try_run("SELECT 1 FROM messagekit.topic_records").await.unwrap_err();
        assert!(denied.to_string().contains("permission denied"), "{denied}");
        shop.run("RESET ROLE").await;
        assert_eq!(shop.events().await.len(), 1);
    });
}

#[test]
fn a_statement_of_many_rows_is_as_many_events() {
    block_on(async {
        let mut shop = Shop::new().await;
        let two = shop.topics.untyped("shop.large").open().await.unwrap();
        shop.topics.source("orders").payload(RowPayload::Key).add(TOPIC).await.unwrap();
        shop.topics.source("orders").filter("total > 9990").add("shop.large").await.unwrap();
        shop.run("INSERT INTO orders (id, total) SELECT n, n FROM generate_series(1, 10000) n").await;
        shop.run("UPDATE orders SET status = 'paid'").await;
        assert_eq!((shop.orders.count().await.unwrap().all, two.count().await.unwrap().all), (20_000, 20));
    });
}

#[test]
fn a_source_is_added_once_replaced_on_request_and_dropped() {
    block_on(async {
        let mut shop = Shop::new().await;
        let topics = shop.topics.clone();
        let insert = || topics.source("orders").on(Change::Insert).filter("total > 1");
        assert_eq!(insert().add(TOPIC).await.unwrap(), AddedSource::Added);
        assert_eq!(insert().add(TOPIC).await.unwrap(), AddedSource::Same);
        let other = || topics.source("public.orders").on(Change::Insert);
        assert_eq!(other().add(TOPIC).await.unwrap_err().kind(), ErrorKind::WrongState);
        assert_eq!(other().replace().add(TOPIC).await.unwrap(), AddedSource::Replaced);
        shop.run("INSERT INTO orders (id, total) VALUES (1, 0)").await;
        assert_eq!(shop.events().await.len(), 1, "the filter is gone");
        let listed = topics.sources().await.unwrap();
        assert_eq!((listed.len(), &*listed[0].table, listed[0].fault), (1, "public.orders", None));
        assert!(topics.drop_source(TOPIC, "orders").await.unwrap());
        assert!(!topics.drop_source(TOPIC, "orders").await.unwrap());
        shop.run("INSERT INTO orders (id) VALUES (2)").await;
        assert_eq!((shop.events().await, topics.sources().await.unwrap()), (vec![], vec![]));
    });
}

#[test]
fn what_cannot_be_a_source_is_refused_with_the_reason() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.run("CREATE TABLE plain (v text); CREATE VIEW seen AS SELECT * FROM orders; CREATE TABLE parts (id int PRIMARY KEY DEFERRABLE) PARTITION BY LIST (id); CREATE FUNCTION own(int) RETURNS int LANGUAGE sql IMMUTABLE RETURN 1").await;
        let kind = |error: messagekit_topics::Error| (error.kind(), error.to_string());
        let filtered = |filter: &str| shop.topics.source("orders").filter(filter).add(TOPIC);
        for filter in [
            "missing > 1",
            "customer > 1",
            "own(1) = 1",
            "now() > '2026-01-01'",
            "random() < 0.5",
            "id IN (SELECT 1)",
            "true; DROP TABLE orders",
            "total",
        ] {
            let (kind, text) = kind(filtered(filter).await.unwrap_err());
            assert_eq!(kind, ErrorKind::InvalidConfiguration, "{filter}: {text}");
        }
        let missing = shop.topics.source("nowhere").add(TOPIC).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
        for (table, payload) in [
            ("seen", RowPayload::Full),
            ("parts", RowPayload::Full),
            ("plain", RowPayload::Diff),
            ("plain", RowPayload::Key),
            ("orders; x", RowPayload::Full),
        ] {
            let (kind, text) = kind(shop.topics.source(table).payload(payload).add(TOPIC).await.unwrap_err());
            assert_eq!(kind, ErrorKind::InvalidConfiguration, "{table}: {text}");
        }
        assert!(shop.topics.sources().await.unwrap().is_empty());
        shop.topics.source("plain").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO plain VALUES ('a'); UPDATE plain SET v = 'b'; DELETE FROM plain").await;
        let kinds: Vec<_> = shop.events().await.into_iter().map(|(kind, key, _)| (kind, key)).collect();
        assert_eq!(kinds, ["inserted", "updated", "deleted"].map(|kind| (kind.to_owned(), None)));
    });
}

#[test]
fn a_table_that_changes_goes_on_or_shows_its_fault() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").filter("total > 0").add(TOPIC).await.unwrap();
        shop.run(
            "ALTER TABLE orders ADD COLUMN note text DEFAULT 'new'; ALTER TABLE orders DROP COLUMN customer",
        )
        .await;
        shop.run("INSERT INTO orders (id, total) VALUES (1, 1)").await;
        let row = json!({ "id": 1, "total": 1, "status": "open", "note": "new" });
        assert_eq!(shop.events().await, [event("inserted", "1", json!({ "row": row }))]);
        // A filter that cannot be evaluated stops the write: nothing is lost in silence.
        shop.run("ALTER TABLE orders RENAME COLUMN total TO amount").await;
        let stopped = shop.try_run("INSERT INTO orders (id) VALUES (2)").await.unwrap_err();
        assert!(stopped.to_string().contains("total does not exist"), "{stopped}");
        shop.topics.source("orders").filter("amount > 0").replace().add(TOPIC).await.unwrap();
        let fault = async |shop: &Shop| shop.topics.sources().await.unwrap()[0].fault;
        shop.run(
            "ALTER TABLE orders DROP CONSTRAINT orders_pkey; ALTER TABLE orders ADD PRIMARY KEY (id, amount)",
        )
        .await;
        assert_eq!(fault(&shop).await, Some(SourceFault::KeyChanged));
        assert_eq!(
            shop.topics.source("orders").filter("amount > 0").replace().add(TOPIC).await.unwrap(),
            AddedSource::Replaced
        );
        assert_eq!(fault(&shop).await, None);
        shop.run("ALTER TABLE orders DISABLE TRIGGER USER").await;
        assert_eq!(fault(&shop).await, Some(SourceFault::TriggerMissing));
        shop.run("DROP TABLE orders").await;
        assert_eq!(fault(&shop).await, Some(SourceFault::TableMissing));
        assert!(shop.topics.drop_source(TOPIC, "public.orders").await.unwrap());
    });
}

#[test]
fn a_renamed_table_is_listed_with_its_new_name() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        for (change, name) in [
            ("ALTER TABLE orders RENAME TO \"Sold\"", "public.\"Sold\""),
            ("CREATE SCHEMA shop; ALTER TABLE \"Sold\" SET SCHEMA shop", "shop.\"Sold\""),
        ] {
            shop.run(change).await;
            let source = shop.topics.sources().await.unwrap().remove(0);
            assert_eq!(
                (source.table.as_str(), source.fault),
                ("public.orders", Some(SourceFault::TableRenamed))
            );
            assert_eq!(source.renamed_to.as_deref(), Some(name));
        }
        shop.run("INSERT INTO shop.\"Sold\" (id) VALUES (1)").await;
        assert_eq!(shop.events().await.len(), 1, "its triggers go on");
        shop.topics.source("shop.\"Sold\"").add(TOPIC).await.unwrap();
        assert!(shop.topics.drop_source(TOPIC, "public.orders").await.unwrap());
        let sources = shop.topics.sources().await.unwrap();
        assert_eq!((sources.len(), sources[0].fault), (1, None));
        shop.run("ALTER TABLE shop.\"Sold\" SET SCHEMA public; ALTER TABLE \"Sold\" RENAME TO orders; DROP TABLE orders").await;
        assert_eq!(shop.topics.sources().await.unwrap()[0].fault, Some(SourceFault::TableMissing));
    });
}

/// Rows are paired by the texts of their keys, which are the keys of the events.
#[test]
fn a_key_with_another_text_is_another_row() {
    block_on(async {
        let mut shop = Shop::with(
            "CREATE COLLATION any_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
             CREATE TABLE orders (id numeric, name text COLLATE any_case, n int, PRIMARY KEY (id));
             CREATE TABLE names (name text COLLATE any_case PRIMARY KEY, n int)",
        )
        .await;
        shop.topics.source("orders").payload(RowPayload::Diff).add(TOPIC).await.unwrap();
        shop.topics.source("names").payload(RowPayload::Key).add(TOPIC).await.unwrap();
        let keys = async |shop: &Shop| -> Vec<String> {
            let events = shop.events().await;
            events.into_iter().map(|(kind, key, _)| format!("{kind} {}", key.unwrap())).collect()
        };
        shop.run("INSERT INTO orders (id) VALUES (1.0), (2.5)").await;
        assert_eq!(keys(&shop).await, ["inserted 1.0", "inserted 2.5"]);
        shop.run("UPDATE orders SET id = 1.00 WHERE id = 1").await;
        let mut rekeyed = keys(&shop).await;
        rekeyed.sort_unstable();
        assert_eq!(rekeyed, ["deleted 1.0", "inserted 1.00"]);
        shop.run("UPDATE orders SET n = 1").await;
        let mut updated = keys(&shop).await;
        updated.sort_unstable();
        assert_eq!(updated, ["updated 1.00", "updated 2.5"]);
        shop.run("INSERT INTO names VALUES ('ada'); UPDATE names SET n = 1").await;
        assert_eq!(keys(&shop).await, ["inserted ada", "updated ada"]);
        shop.run("UPDATE names SET name = 'Ada'").await;
        let mut rekeyed = keys(&shop).await;
        rekeyed.sort_unstable();
        assert_eq!(rekeyed, ["deleted ada", "inserted Ada"]);
    });
}

/// The function finds nothing but what the server has: an expression that needs more is refused, not tried in each write.
#[test]
fn an_expression_is_tried_as_it_will_run() {
    block_on(async {
        let mut shop = Shop::with(
            "CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TABLE orders (id int PRIMARY KEY, mood mood)",
        )
        .await;
        let filtered = |filter: &str| shop.topics.source("orders").filter(filter).replace();
        let refused = filtered("mood = 'good'::mood").add(TOPIC).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration, "the type is on no path of the function");
        filtered("mood = 'good'").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 'good'), (2, 'bad'), (3, NULL)").await;
        assert_eq!(
            shop.events().await,
            [event("inserted", "1", json!({ "row": { "id": 1, "mood": "good" } }))]
        );
    });
}

#[test]
fn changes_for_a_topic_of_a_broker_are_events_of_the_outbox() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.topics.source("orders").add("elsewhere.orders").await.unwrap();
        let both = shop.topics.untyped("both.orders").published().open().await.unwrap();
        shop.topics.source("orders").add("both.orders").await.unwrap();
        shop.run("INSERT INTO orders (id) VALUES (1), (2); TRUNCATE orders").await;
        let count = "SELECT topic || ' ' || event_type || ' ' || count(*) FROM messagekit.outbox_events GROUP BY topic, event_type ORDER BY 1";
        let found: Vec<String> = sqlx::query_scalar(count).fetch_all(&mut shop.connection).await.unwrap();
        assert_eq!(
            found,
            [
                "both.orders both.orders.inserted 2",
                "both.orders both.orders.truncated 1",
                "elsewhere.orders elsewhere.orders.inserted 2",
                "elsewhere.orders elsewhere.orders.truncated 1",
            ]
        );
        assert_eq!(both.count().await.unwrap().all, 3);
    });
}
