//! Failed messages of billing, and actions of operators over HTTP.

use messagekit::MessageId;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::Caller;
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection};

use crate::billing::Billing;
use crate::console::Console;
use crate::names::ORDER_PARTITIONS;
use crate::records::{Record, send};
use crate::{broker, turn};

/// The number of attempts of billing before an order is dead.
const ATTEMPTS: i64 = 10;

/// Billing with a mistake in its database, and its admin.
struct Shop {
    billing: Billing,
    console: Console,
    look: PgConnection,
}

impl Shop {
    /// Starts both on an empty topic. The database refuses bills of orders named `bad-…`, as a wrong rule would, and counts
    /// the refusals.
    async fn open() -> Self {
        let billing = Billing::open().await;
        let mut look = billing.database.connection().await;
        // A rollback does not reset a sequence.
        let rule = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                PERFORM nextval('runs_' || replace(NEW.order_id, '-', '_'));
                RAISE EXCEPTION 'this product is not in the catalogue';
            END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON bills
            FOR EACH ROW WHEN (NEW.order_id LIKE 'bad-%') EXECUTE FUNCTION refuse()";
        sqlx::raw_sql(rule).execute(&mut look).await.unwrap();
        let console = Console::open(&billing.database, &["ann", "bob"]);
        Self { billing, console, look }
    }

    /// Corrects the mistake.
    async fn repair(&mut self) {
        sqlx::raw_sql("DROP TRIGGER refuse ON bills").execute(&mut self.look).await.unwrap();
    }

    /// Sends orders of one customer each.
    async fn send(&mut self, orders: &[Order]) {
        for order in orders.iter().filter(|order| order.name.starts_with("bad-")) {
            let runs = order.runs();
            let counter = AssertSqlSafe(format!("CREATE SEQUENCE IF NOT EXISTS {runs} MINVALUE 0 START 1"));
            sqlx::raw_sql(counter).execute(&mut self.look).await.unwrap();
        }
        send(&self.billing.names, orders.iter().map(Order::record)).await;
        self.billing.until_read().await;
    }

    /// Waits until `failed_messages` failed messages are dead. It skips the hours between their runs.
    async fn until_dead(&mut self, failed_messages: i64) {
        eventually(&format!("{failed_messages} failed messages are dead"), DEADLINE, async || {
            let pass = "UPDATE messagekit.failed_messages SET due = now() WHERE state = 'retry_scheduled' AND running_since IS NULL";
            sqlx::query(pass).execute(&mut self.look).await.unwrap();
            self.count("SELECT count(*) FROM messagekit.failed_messages WHERE state = 'dead'").await == failed_messages
        })
        .await;
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.look).await.unwrap()
    }

    /// Returns how often the database has refused a bill.
    async fn runs(&mut self, order: &Order) -> i64 {
        let count = AssertSqlSafe(format!("SELECT last_value FROM {} WHERE is_called", order.runs()));
        sqlx::query_scalar(count).fetch_optional(&mut self.look).await.unwrap().unwrap_or(0)
    }

    /// Returns the number of bills, events about a bill and processed markers of an order.
    async fn effects(&mut self, order: &Order) -> (i64, i64, i64) {
        let sql = "SELECT (SELECT count(*) FROM bills WHERE order_id = $1),
            (SELECT count(*) FROM messagekit.outbox_events WHERE convert_from(payload, 'UTF8')::jsonb ->> 'order_id' = $1),
            (SELECT count(*) FROM messagekit.processed_messages WHERE message_id = $2 AND outcome = 'done')";
        let found = sqlx::query_as(sql).bind(&order.name).bind(order.id.as_str());
        found.fetch_one(&mut self.look).await.unwrap()
    }

    /// Asserts that every bill is in its customer's total once, and returns the number of bills.
    async fn totals_are_right(&mut self) -> i64 {
        let sql = "SELECT count(*) FROM (SELECT customer, count(*), sum(pence) FROM bills GROUP BY 1
            EXCEPT SELECT customer, bills, pence FROM totals) wrong";
        assert_eq!(self.count(sql).await, 0, "totals that are not the sum of the bills");
        self.count("SELECT count(*) FROM bills").await
    }
}

/// An order, and the id of its event.
struct Order {
    name: String,
    id: MessageId,
    pence: i64,
}

impl Order {
    fn new(name: &str, pence: i64) -> Self {
        Self { name: name.to_owned(), id: MessageId::new(), pence }
    }

    /// Returns its record; each copy is the same.
    fn record(&self) -> (i32, Record) {
        let partition = self.name.bytes().map(i32::from).sum::<i32>() % ORDER_PARTITIONS;
        (
            partition,
            Record::of_debezium(&self.id, &self.name, &format!("customer-of-{}", self.name), self.pence),
        )
    }

    fn runs(&self) -> String {
        format!("runs_{}", self.name.replace('-', "_"))
    }
}

/// Returns the only failed message in a state, as the list shows it.
fn only_failed_message(operator: &Caller, consumer: &str, state: &str) -> Value {
    let page = operator.shows(&format!("/api/v1/dlq?consumer={consumer}&state={state}"));
    let failed_messages = page["failed_messages"].as_array().expect("a list");
    assert_eq!(failed_messages.len(), 1, "{page}");
    failed_messages[0].clone()
}

/// Waits until a failed message is in a state. It polls, as an operator would.
async fn until_state(operator: &Caller, id: i64, state: &str) -> Value {
    let mut failed_message = Value::Null;
    eventually(&format!("failed message {id} is {state}"), DEADLINE, async || {
        failed_message = operator.shows(&format!("/api/v1/dlq/{id}"))["failed_message"].clone();
        failed_message["state"] == state
    })
    .await;
    failed_message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repaired_message_retried_over_http_is_billed_once() {
    let _turn = turn::with_fixed_names();
    let mut shop = Shop::open().await;
    let (bad, good) = (Order::new("bad-lamp", 1_250), Order::new("good-chair", 8_000));
    let orders = [bad, good];
    shop.send(&orders).await;
    shop.until_dead(1).await;
    let [bad, good] = &orders;
    assert_eq!((shop.effects(bad).await, shop.effects(good).await), ((0, 0, 0), (1, 1, 1)));

    // Find it and understand the cause.
    let ann = shop.console.operator("ann");
    let failed_message = only_failed_message(&ann, &shop.billing.names.billing, "dead");
    let id = failed_message["id"].as_i64().unwrap();
    assert_eq!(
        (failed_message["message_id"].as_str(), failed_message["topic"].as_str()),
        (Some(bad.id.as_str()), Some(&*shop.billing.names.orders))
    );
    assert_eq!((failed_message["attempts"].as_i64(), &failed_message["due"]), (Some(ATTEMPTS), &Value::Null));
    let error = failed_message["error"].as_str().unwrap();
    assert!(error.contains("not in the catalogue"), "{error}");
    let sent = broker::read(&shop.billing.names.orders)
        .into_iter()
        .find(|record| record.id() == bad.id.as_str())
        .unwrap();
    assert_eq!(ann.downloads(&format!("/api/v1/dlq/{id}/payload")), sent.payload);

    // Retried before it is repaired: one run, then dead because the requested run failed.
    let runs = shop.runs(bad).await;
    let retry = format!("/api/v1/dlq/{id}/retry");
    assert_eq!(ann.acts(&retry).0, 202);
    let failed_message = until_state(&ann, id, "dead").await;
    assert_eq!((failed_message["attempts"].as_i64(), shop.runs(bad).await), (Some(1), runs + 1));
    assert_eq!(failed_message["reason"].as_str(), Some("requested_run_failed"));
    assert_eq!(shop.effects(bad).await, (0, 0, 0));

    shop.repair().await;
    let (status, answer) = ann.acts(&retry);
    assert_eq!((status, answer["state"].as_str()), (202, Some("retry_requested")), "{answer}");
    until_state(&ann, id, "resolved").await;
    assert_eq!(shop.effects(bad).await, (1, 1, 1));
    let (status, answer) = ann.acts(&retry);
    assert_eq!(status, 409, "{answer}");
    assert!(answer["detail"].as_str().unwrap().contains("is resolved"), "{answer}");

    // The same record once more, much later: the processed marker of the retry holds.
    shop.send(&orders).await;
    assert_eq!(shop.effects(bad).await, (1, 1, 1));
    assert_eq!(shop.totals_are_right().await, 2);
    shop.billing.are_alive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_discarded_order_is_billed_only_after_undo() {
    let _turn = turn::with_fixed_names();
    let mut shop = Shop::open().await;
    let orders = [Order::new("bad-lamp", 1_250)];
    let [bad] = &orders;
    shop.send(&orders).await;
    shop.until_dead(1).await;
    let ann = shop.console.operator("ann");
    let id = only_failed_message(&ann, &shop.billing.names.billing, "dead")["id"].as_i64().unwrap();
    let act = |act: &str| {
        let (status, answer) = ann.acts(&format!("/api/v1/dlq/{id}/{act}"));
        (status, answer["state"].as_str().map(str::to_owned))
    };
    assert_eq!(act("undo"), (409, None), "it was not discarded");
    assert_eq!(act("discard"), (202, Some("discarded".to_owned())));
    assert_eq!(act("discard"), (409, None));
    assert_eq!(act("retry"), (409, None));

    // Now only the discard prevents that a late copy is billed.
    shop.repair().await;
    shop.send(&orders).await;
    assert_eq!(shop.effects(bad).await, (0, 0, 0));
    assert_eq!(only_failed_message(&ann, &shop.billing.names.billing, "discarded")["id"].as_i64(), Some(id));

    assert_eq!(act("undo"), (202, Some("dead".to_owned())));
    shop.send(&orders).await;
    assert_eq!(shop.effects(bad).await, (0, 0, 0), "a failed message holds its message");
    assert_eq!(act("retry"), (202, Some("retry_requested".to_owned())));
    until_state(&ann, id, "resolved").await;
    shop.send(&orders).await;
    assert_eq!(shop.effects(bad).await, (1, 1, 1));
    assert_eq!(shop.count("SELECT count(*) FROM messagekit.failed_messages").await, 1);
    assert_eq!(shop.totals_are_right().await, 1);
    shop.billing.are_alive();
}
