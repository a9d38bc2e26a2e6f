//! Tables whose rows come by logical replication from another database.

use messagekit::log::{Change, RowPayload, SourceFault};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::Database;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};

use super::sources::{Shop, TOPIC};

const ORDERS: &str = "CREATE TABLE orders (id int PRIMARY KEY, status text)";
const ORDERS_BY_DAY: &str =
    "CREATE TABLE orders (id int, day int, status text, PRIMARY KEY (id, day)) PARTITION BY LIST (day);
    CREATE TABLE orders_1 PARTITION OF orders FOR VALUES IN (1)";

/// A database whose table `orders` is replicated to that of a shop.
struct Original {
    connection: PgConnection,
    subscription: String,
}

impl Original {
    /// A slot that is made by hand does not wait for the transaction that subscribes to it, on the same server.
    async fn of(shop: &mut Shop, tables: &str) -> Self {
        let database = Database::empty().await;
        let mut connection = database.connection().await;
        let subscription = unique("copy").replace(['.', '-'], "_");
        let publish = format!("{tables}; CREATE PUBLICATION copied FOR TABLE orders");
        let slot = format!("SELECT pg_create_logical_replication_slot('{subscription}', 'pgoutput')");
        for sql in [publish, slot] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
        }
        let url = database.url();
        shop.run(&format!(
            "CREATE SUBSCRIPTION {subscription} CONNECTION '{url}' PUBLICATION copied WITH (create_slot = false, copy_data = false)"
        ))
        .await;
        Self { connection, subscription }
    }

    async fn run(&mut self, sql: &'static str) {
        sqlx::raw_sql(sql).execute(&mut self.connection).await.unwrap();
    }

    /// Its slot goes with it: one that stays would keep the log of the server.
    async fn end(self, shop: &mut Shop) {
        shop.run(&format!("DROP SUBSCRIPTION {}", self.subscription)).await;
    }
}

/// Returns the last part of the type and what is held of each event, when there are as many.
async fn events(shop: &Shop, count: u64) -> Vec<(String, Value)> {
    let are_there = async || shop.orders.count().await.unwrap().all >= count;
    eventually("all events are there", DEADLINE, are_there).await;
    shop.events().await.into_iter().map(|(kind, _, held)| (kind, held)).collect()
}

#[test]
fn rows_that_replication_applies_are_events_if_asked_for() {
    block_on(async {
        let mut shop = Shop::with(ORDERS).await;
        let quiet = shop.topics.untyped("shop.quiet").open().await.unwrap();
        shop.topics.source("orders").add("shop.quiet").await.unwrap();
        shop.topics.source("orders").payload(RowPayload::Diff).replicated().add(TOPIC).await.unwrap();
        let mut original = Original::of(&mut shop, ORDERS).await;
        original.run("INSERT INTO orders VALUES (1, 'open'), (2, 'open')").await;
        original.run("UPDATE orders SET status = 'paid' WHERE id = 2").await;
        original.run("UPDATE orders SET id = 3 WHERE id = 1").await;
        original.run("DELETE FROM orders WHERE id = 2").await;
        original.run("TRUNCATE orders").await;
        let row = |id: i32, status: &str| json!({ "row": { "id": id, "status": status } });
        let changes = json!({ "status": { "before": "open", "after": "paid" } });
        let mut found = events(&shop, 7).await;
        // The two events of a changed key have no order.
        found[3..5].sort_by(|one, other| one.0.cmp(&other.0));
        assert_eq!(
            found,
            [
                ("inserted".to_owned(), row(1, "open")),
                ("inserted".to_owned(), row(2, "open")),
                ("updated".to_owned(), json!({ "row": { "id": 2 }, "changes": changes })),
                ("deleted".to_owned(), row(1, "open")),
                ("inserted".to_owned(), row(3, "open")),
                ("deleted".to_owned(), row(2, "paid")),
                ("truncated".to_owned(), json!({})),
            ]
        );
        assert_eq!(quiet.count().await.unwrap().all, 0, "its source does not watch them");
        shop.run("INSERT INTO orders VALUES (8, 'here'), (9, 'here')").await;
        assert_eq!((shop.events().await.len(), quiet.count().await.unwrap().all), (2, 2), "each row once");
        original.end(&mut shop).await;
    });
}

#[test]
fn replicated_rows_of_parts_are_events() {
    block_on(async {
        let mut shop = Shop::with(ORDERS_BY_DAY).await;
        shop.topics.source("orders").replicated().add(TOPIC).await.unwrap();
        shop.run("CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)").await;
        let later = "CREATE TABLE orders_2 PARTITION OF orders FOR VALUES IN (2)";
        let mut original = Original::of(&mut shop, &format!("{ORDERS_BY_DAY}; {later}")).await;
        original.run("INSERT INTO orders VALUES (1, 1, 'open'), (2, 2, 'open')").await;
        original.run("UPDATE orders SET status = 'paid' WHERE id = 2").await;
        let kinds: Vec<_> = events(&shop, 3).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds, ["inserted", "inserted", "updated"]);
        original.end(&mut shop).await;
    });
}

#[test]
fn a_disabled_trigger_of_replicated_rows_is_found() {
    block_on(async {
        let mut shop = Shop::with(ORDERS).await;
        shop.topics.source("orders").on(Change::Insert).replicated().add(TOPIC).await.unwrap();
        assert_eq!(shop.topics.sources().await.unwrap()[0].fault, None);
        shop.run("ALTER TABLE orders ENABLE TRIGGER messagekit_source_1_insert_replicated").await;
        let sources = shop.topics.sources().await.unwrap();
        assert_eq!(sources[0].fault, Some(SourceFault::TriggerMissing));
        let repair = [
            "topics",
            "source",
            "add",
            TOPIC,
            "public.orders",
            "--replace",
            "--on",
            "insert",
            "--replicated",
        ];
        assert_eq!(sources[0].repairs(), [repair]);
        shop.topics.source("orders").on(Change::Insert).replicated().replace().add(TOPIC).await.unwrap();
        assert_eq!(shop.topics.sources().await.unwrap()[0].fault, None);
    });
}

#[test]
fn a_session_sees_new_columns_of_a_divided_table() {
    block_on(async {
        let mut shop = Shop::with(ORDERS_BY_DAY).await;
        shop.topics.source("orders").add(TOPIC).await.unwrap();
        shop.run("INSERT INTO orders VALUES (1, 1, 'a')").await;
        shop.run("ALTER TABLE orders ADD COLUMN note text; INSERT INTO orders VALUES (2, 1, 'b', 'new')")
            .await;
        shop.run("ALTER TABLE orders RENAME COLUMN status TO state; INSERT INTO orders VALUES (3, 1, 'c', 'renamed')").await;
        shop.run("ALTER TABLE orders DROP COLUMN state; INSERT INTO orders VALUES (4, 1, 'dropped')").await;
        let rows: Vec<_> =
            events(&shop, 4).await.into_iter().map(|(_, mut held)| held["row"].take()).collect();
        assert_eq!(
            rows,
            [
                json!({ "id": 1, "day": 1, "status": "a" }),
                json!({ "id": 2, "day": 1, "status": "b", "note": "new" }),
                json!({ "id": 3, "day": 1, "state": "c", "note": "renamed" }),
                json!({ "id": 4, "day": 1, "note": "dropped" }),
            ]
        );
    });
}
