//! Rows whose events cannot be written: the write fails, or they become failed messages and the others go on.

use std::path::Path;
use std::process::{Command, Output};

use messagekit::ErrorKind;
use messagekit::log::{OnSourceFailure, RowPayload, SourceFault};
use messagekit::operations::{
    Action, FailedMessage, FailedMessageFilter, FailedMessageState, FailedMessages, Operator, OutboxHealth,
};
use messagekit_testkit::block_on;
use messagekit_topics::operations::TopicOperations;
use messagekit_topics::operations::wire::{Consume, Start};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::sources::{Shop, TOPIC};
use crate::whole_lag::whole_lag;

const CONSUMER: &str = "route:shop.orders:public.orders";

/// A filter that fails for a total of 0.
const DIVIDES: &str = "100 / NEW.total > 1";

impl Shop {
    /// Adds the table with a rule that fails for some rows.
    async fn add(&self, filter: &str, on_failure: OnSourceFailure) {
        let source = self.topics.source("orders").filter(filter).on_failure(on_failure);
        source.replace().add(TOPIC).await.unwrap();
    }

    /// Returns the failed messages, the first one first.
    async fn failed(&self) -> Vec<FailedMessage> {
        let store = self.topics.store();
        let heads = store.list(&FailedMessageFilter::default(), 100).await.unwrap();
        let mut failed = Vec::new();
        for head in heads.iter().rev() {
            failed.push(store.show(head.id).await.unwrap());
        }
        failed
    }

    async fn count(&mut self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await.unwrap()
    }

    /// Returns the kind of each new event with its key.
    async fn kinds(&self) -> Vec<String> {
        let events = self.events().await.into_iter();
        events.map(|(kind, key, _)| format!("{kind} {}", key.unwrap_or_default())).collect()
    }

    /// Returns whether the doctor has a finding, and the steps of its repair, as a line for a shell.
    fn finds(&self, name: &str) -> (bool, String) {
        let (_, report) = self.messagekit(&["doctor", "--json"]);
        let report: Value = serde_json::from_str(report.split("messagekit: ").next().unwrap()).unwrap();
        let mut findings = report["findings"].as_array().unwrap().iter();
        let found = findings.find(|finding| finding["name"] == name);
        let text = |step: &Value| step["text"].as_str().unwrap().to_owned();
        let steps =
            found.map(|found| found["repair"].as_array().unwrap().iter().map(text).collect::<Vec<_>>());
        (steps.is_some(), steps.unwrap_or_default().join(" && "))
    }

    /// Runs a printed command, which takes its password from the environment.
    fn shell(&self, line: &str) -> Output {
        let login = self.database.url().split('@').next().unwrap();
        let ours = Path::new(env!("CARGO_BIN_EXE_worker")).parent().unwrap();
        let path = format!("{}:{}", ours.display(), std::env::var("PATH").unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-euc", line]).env("PATH", path).env("PGPASSWORD", login.rsplit(':').next().unwrap());
        shell.output().unwrap()
    }

    fn messagekit(&self, arguments: &[&str]) -> (bool, String) {
        let worker = Path::new(env!("CARGO_BIN_EXE_worker"));
        let output = Command::new(worker.with_file_name("messagekit"))
            .args(arguments)
            .args(["--database", self.database.url()])
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(text).unwrap())
    }
}

fn payload(failed: &FailedMessage) -> Value {
    serde_json::from_slice(&failed.received.message.payload).unwrap()
}

#[test]
fn a_row_without_a_possible_event_is_set_aside_and_others_go_on() {
    block_on(async {
        let mut shop = Shop::new().await;
        let other = shop.topics.untyped("shop.all").open().await.unwrap();
        shop.topics.source("orders").add("shop.all").await.unwrap();
        shop.add(DIVIDES, OnSourceFailure::SetAside).await;
        shop.run("INSERT INTO orders VALUES (1, 'ada', 5), (2, 'secret', 0), (3, 'bob', 7)").await;
        assert_eq!(shop.kinds().await, ["inserted 1", "inserted 3"]);
        assert_eq!(
            (other.count().await.unwrap().all, shop.count("SELECT count(*) FROM orders").await),
            (3, 3)
        );
        let failed = shop.failed().await;
        let one = &failed[0];
        assert_eq!((failed.len(), &*one.consumer, &*one.topic), (1, CONSUMER, TOPIC));
        assert_eq!((one.state, &*one.kind), (FailedMessageState::Dead, "permanent"));
        assert_eq!(
            (one.key.as_deref(), one.event_type.as_deref()),
            (Some(&b"2"[..]), Some("shop.orders.inserted"))
        );
        let row = json!({ "id": 2, "customer": "secret", "total": 0, "status": "open" });
        assert_eq!(payload(one), json!({ "row": row }));
        assert_eq!(one.received.message.headers.free().get("op").map(String::as_str), Some("insert"));
        assert!(one.error.contains("divides by zero (SQLSTATE 22012)"), "{}", one.error);
        assert!(!one.error.contains("secret"), "{}", one.error);
        // The hash and the fingerprint are those that programs compute.
        let by_key = FailedMessageFilter { key: Some(b"2".to_vec()), ..FailedMessageFilter::default() };
        assert_eq!(shop.topics.store().list(&by_key, 10).await.unwrap().len(), 1);
        let failure = messagekit::adapter::Failure::permanent(
            messagekit::adapter::FailureKind::Permanent,
            one.error.clone(),
        );
        assert_eq!(one.fingerprint, failure.fingerprint());
        assert_eq!(
            shop.count("SELECT count(*) FROM messagekit.processed_messages WHERE outcome = 'held'").await,
            1
        );
    });
}

#[test]
fn by_default_the_write_fails_and_the_error_names_the_source() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(DIVIDES, OnSourceFailure::default()).await;
        let error = shop.try_run("INSERT INTO orders VALUES (1, 'ada', 5), (2, 'bob', 0)").await.unwrap_err();
        assert!(context(&error).contains("table source public.orders of topic shop.orders"), "{error:?}");
        shop.topics.source("orders").replace().add(TOPIC).await.unwrap();
        let large = "INSERT INTO orders SELECT 1, repeat('secret', 340000), 5";
        let error = shop.try_run(large).await.unwrap_err().to_string();
        let says = "event of table source public.orders for topic shop.orders has 2040";
        assert!(error.contains(says) && !error.contains("secret"), "{error}");
        assert_eq!((shop.kinds().await.len(), shop.failed().await.len()), (0, 0));
        assert_eq!(shop.count("SELECT count(*) FROM orders").await, 0);
        let listed = shop.topics.sources().await.unwrap();
        assert_eq!(listed[0].on_failure, OnSourceFailure::Fail);
    });
}

/// Returns where the server was when it failed, as psql prints it.
fn context(error: &sqlx::Error) -> String {
    let error =
        error.as_database_error().unwrap().try_downcast_ref::<sqlx::postgres::PgDatabaseError>().unwrap();
    error.r#where().unwrap_or_default().to_owned()
}

#[test]
fn of_ten_thousand_rows_three_bad_ones_are_set_aside() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(DIVIDES, OnSourceFailure::SetAside).await;
        shop.run("INSERT INTO orders (id, total) SELECT n, CASE WHEN n IN (1, 5000, 10000) THEN 0 ELSE 5 END FROM generate_series(1, 10000) n").await;
        assert_eq!(shop.orders.count().await.unwrap().all, 9_997);
        let keys: Vec<_> = shop.failed().await.iter().map(|one| one.key.clone().unwrap()).collect();
        assert_eq!(keys, ["1", "5000", "10000"]);
    });
}

#[test]
fn an_event_over_the_limit_is_set_aside_with_its_key_alone() {
    block_on(async {
        for topic in [TOPIC, "elsewhere.orders"] {
            let mut shop = Shop::new().await;
            let source = shop.topics.source("orders").on_failure(OnSourceFailure::SetAside);
            source.add(topic).await.unwrap();
            shop.run(
                "INSERT INTO orders SELECT n, repeat('x', n), 1 FROM unnest('{1, 2000000, 3}'::int[]) n",
            )
            .await;
            let written = "SELECT (SELECT count(*) FROM messagekit.topic_waiting) + (SELECT count(*) FROM messagekit.outbox_events)";
            assert_eq!(shop.count(written).await, 2);
            let failed = shop.failed().await;
            assert_eq!((failed.len(), &*failed[0].kind), (1, "too_large"));
            assert_eq!(payload(&failed[0]), json!({ "row": { "id": 2_000_000 } }));
            assert!(failed[0].error.contains("only its primary key is kept"), "{}", failed[0].error);
            // An update keeps the row that was, too, where both fit.
            shop.run("UPDATE orders SET customer = repeat('y', 500000) WHERE id = 1").await;
            shop.run("UPDATE orders SET customer = repeat('z', 950000) WHERE id = 3").await;
            assert_eq!((shop.failed().await.len(), shop.count(written).await), (2, 3));
        }
    });
}

#[test]
fn a_nul_inside_of_json_is_set_aside() {
    block_on(async {
        let mut shop = Shop::with("CREATE TABLE orders (id int PRIMARY KEY, data json)").await;
        shop.topics
            .source("orders")
            .payload(RowPayload::Diff)
            .on_failure(OnSourceFailure::SetAside)
            .add(TOPIC)
            .await
            .unwrap();
        shop.run(r#"INSERT INTO orders VALUES (1, '{}'), (2, '{}'); UPDATE orders SET data = CASE id WHEN 1 THEN '{"a": "\u0000"}'::json ELSE '{"a": 1}' END"#).await;
        assert_eq!(shop.kinds().await, ["inserted 1", "inserted 2", "updated 2"]);
        let failed = shop.failed().await;
        let (row, before) = (json!({ "id": 1, "data": { "a": "\0" } }), json!({ "id": 1, "data": {} }));
        assert_eq!(payload(&failed[0]), json!({ "row": row, "before": before }));
        assert!(failed[0].error.contains("the character NUL (SQLSTATE 22P05)"), "{}", failed[0].error);
    });
}

#[test]
fn a_renamed_column_sets_rows_aside_until_the_source_is_added() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add("total > 0", OnSourceFailure::SetAside).await;
        shop.run("INSERT INTO orders VALUES (1, 'ada', 5)").await;
        shop.run(
            "ALTER TABLE orders RENAME COLUMN total TO amount; ALTER TABLE orders RENAME COLUMN id TO number",
        )
        .await;
        shop.run("INSERT INTO orders VALUES (2, 'bob', 5); UPDATE orders SET number = 3 WHERE number = 2; DELETE FROM orders WHERE number = 3").await;
        let failed = shop.failed().await;
        let kinds: Vec<_> = failed.iter().map(|one| one.event_type.as_deref().unwrap()).collect();
        // Without the columns of its key an update cannot be paired: its new row stands alone.
        assert_eq!(kinds, ["shop.orders.inserted", "shop.orders.inserted", "shop.orders.deleted"]);
        assert_eq!(
            (payload(&failed[0])["row"]["number"].as_i64(), failed[0].key.as_deref()),
            (Some(2), None)
        );
        assert!(failed[0].error.contains("is gone (SQLSTATE 42703)"), "{}", failed[0].error);
        assert_eq!(shop.topics.sources().await.unwrap()[0].fault, Some(SourceFault::KeyChanged));
        shop.add("amount > 0", OnSourceFailure::SetAside).await;
        shop.run("UPDATE orders SET amount = 7").await;
        assert_eq!(shop.kinds().await, ["inserted 1", "updated 1"]);
    });
}

/// The rows that a statement goes through one by one have the columns that the table has now, also in a session that has seen others.
#[test]
fn events_beside_rows_set_aside_have_the_columns_of_now() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(DIVIDES, OnSourceFailure::SetAside).await;
        shop.run("INSERT INTO orders VALUES (1, 'ada', 0), (2, 'bob', 5)").await;
        shop.run(
            "ALTER TABLE orders ADD COLUMN note text DEFAULT 'new'; ALTER TABLE orders DROP COLUMN customer",
        )
        .await;
        shop.run("ALTER TABLE orders RENAME TO bills; INSERT INTO bills (id, total) VALUES (3, 0), (4, 5)")
            .await;
        let row = json!({ "id": 4, "total": 5, "status": "open", "note": "new" });
        assert_eq!(shop.events().await[1].2, json!({ "row": row }));
        assert_eq!(payload(&shop.failed().await[1])["row"]["note"], "new");
    });
}

#[test]
fn rows_of_parts_and_of_tables_without_a_key_are_set_aside() {
    block_on(async {
        let parts = "(id int PRIMARY KEY, total int) PARTITION BY LIST (id); CREATE TABLE orders_1 PARTITION OF orders DEFAULT";
        for (table, counts) in
            [(parts, (6, 2)), ("(id int, total int)", (5, 2)), ("(id int PRIMARY KEY, total int)", (6, 3))]
        {
            let mut shop = Shop::with(&format!("CREATE TABLE orders {table}")).await;
            let keyed = shop.topics.source("orders").partition_by("100 / coalesce(NEW.total, OLD.total)");
            keyed.on_failure(OnSourceFailure::SetAside).add(TOPIC).await.unwrap();
            shop.run("INSERT INTO orders VALUES (1, 0), (2, 50); UPDATE orders SET id = 3 WHERE id = 1; UPDATE orders SET id = 4 WHERE id = 2").await;
            shop.run("UPDATE orders SET total = 1 WHERE id = 3; DELETE FROM orders").await;
            let failed = shop.failed().await;
            assert!(
                failed.iter().all(|one| one.key.is_none() && payload(one)["row"]["total"] == 0),
                "{table}"
            );
            // An update of the key is two events, and without a key one. Where a trigger fires for each row, it is one failed message.
            assert_eq!((shop.kinds().await.len(), failed.len()), counts, "{table}");
            assert_eq!(failed[0].event_type.as_deref(), Some("shop.orders.inserted"), "{table}");
        }
    });
}

/// What the rows are not to blame for must reach the program that writes.
#[test]
fn errors_that_end_a_transaction_are_not_swallowed() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add("total > 0", OnSourceFailure::SetAside).await;
        shop.run(
            "CREATE FUNCTION fails() RETURNS trigger LANGUAGE plpgsql AS $$
             BEGIN RAISE EXCEPTION 'as told' USING ERRCODE = current_setting('test.code'); END $$;
             CREATE TRIGGER fails BEFORE INSERT ON messagekit.topic_waiting FOR EACH ROW EXECUTE FUNCTION fails()",
        )
        .await;
        let insert = "INSERT INTO orders VALUES (1, 'ada', 5)";
        for code in ["40001", "40P01", "57014", "57P01", "53200", "53100", "55P03", "42501", "58030", "XX000"]
        {
            shop.run(&format!("SET test.code = '{code}'")).await;
            let error = shop.try_run(insert).await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(code));
        }
        shop.run("SET test.code = '23514'").await;
        shop.run(insert).await;
        assert_eq!(shop.failed().await.len(), 1, "the trigger runs inside of the subtransaction");
    });
}

#[test]
fn a_write_that_waits_for_a_lock_can_be_cancelled() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add("total > 0", OnSourceFailure::SetAside).await;
        let mut holder = shop.database.connection().await;
        lock(&mut holder).await;
        for (setting, code) in [("lock_timeout", "55P03"), ("statement_timeout", "57014")] {
            shop.run(&format!("RESET lock_timeout; SET {setting} = '50ms'")).await;
            let error = shop.try_run("INSERT INTO orders VALUES (1, 'ada', 5)").await.unwrap_err();
            assert_eq!(error.as_database_error().unwrap().code().as_deref(), Some(code));
        }
        assert_eq!((shop.failed().await.len(), shop.count("SELECT count(*) FROM orders").await), (0, 0));
    });
}

async fn lock(connection: &mut PgConnection) {
    let lock = "BEGIN; LOCK TABLE messagekit.topic_waiting IN ACCESS EXCLUSIVE MODE";
    sqlx::raw_sql(lock).execute(connection).await.unwrap();
}

#[test]
fn an_operator_sees_such_a_row_discards_it_and_cannot_retry_it() {
    block_on(async {
        let mut shop = Shop::new().await;
        let add =
            ["topics", "source", "add", TOPIC, "orders", "--filter", DIVIDES, "--on-failure", "set-aside"];
        assert!(shop.messagekit(&add).0);
        assert!(shop.messagekit(&["topics", "source", "list"]).1.contains("set-aside"));
        assert!(
            shop.messagekit(&["topics", "source", "list", "--json"])
                .1
                .contains(r#""on_failure":"set-aside""#)
        );
        shop.run("INSERT INTO orders VALUES (2, 'bob', 0)").await;
        let (_, list) = shop.messagekit(&["dlq", "list", "--consumer", CONSUMER]);
        assert!(list.contains("shop.orders.inserted"), "{list}");
        let (_, show) = shop.messagekit(&["dlq", "show", "1"]);
        for line in [
            "of consumer route:shop.orders:public.orders",
            "error        permanent: event of the row cannot be written: an expression divides by zero (SQLSTATE 22012); repair",
            "key          2",
            r#"{"row":{"id":2,"customer":"bob","total":0,"status":"open"}}"#,
        ] {
            assert!(show.contains(line), "{line}: {show}");
        }
        assert!(!show.contains("dlq retry"), "{show}");
        let (is_done, text) = shop.messagekit(&["dlq", "retry", "1"]);
        assert!(!is_done && text.contains("has no way back"), "{text}");
        let store = shop.topics.store();
        let retried = store.act(Action::Retry, &[1], &Operator::new("ann", "cli")).await.unwrap()[0];
        assert_eq!(retried.done(Action::Retry, 1).unwrap_err().kind(), ErrorKind::WrongState);
        assert!(shop.messagekit(&["dlq", "discard", "1"]).0);
        assert_eq!(shop.failed().await[0].state, FailedMessageState::Discarded);
        assert!(shop.messagekit(&["dlq", "undo", "1"]).0);
    });
}

#[test]
fn the_doctor_finds_a_faulty_source_and_prints_the_repair() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.run("CREATE TABLE bills (id int PRIMARY KEY)").await;
        shop.topics.source("bills").add("elsewhere.bills").await.unwrap();
        shop.add("NEW.customer <> 'it''s'", OnSourceFailure::SetAside).await;
        let replaced = "CREATE OR REPLACE FUNCTION messagekit.source_2() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$";
        for (fault, sql) in [
            (SourceFault::TriggerMissing, "ALTER TABLE orders DISABLE TRIGGER USER"),
            (SourceFault::TriggerMissing, "DROP TRIGGER messagekit_source_2_update ON orders"),
            (
                SourceFault::TriggerMissing,
                "ALTER TABLE orders ENABLE REPLICA TRIGGER messagekit_source_2_insert",
            ),
            (
                SourceFault::KeyChanged,
                "ALTER TABLE orders DROP CONSTRAINT orders_pkey, ADD PRIMARY KEY (id, total)",
            ),
            (SourceFault::TriggerChanged, replaced),
            (
                SourceFault::TriggerChanged,
                "ALTER FUNCTION messagekit.source_2() RESET standard_conforming_strings",
            ),
            (SourceFault::TableMissing, "DROP TABLE orders"),
        ] {
            assert!(!shop.finds("table-source-faulty").0, "before {sql}");
            shop.run(sql).await;
            let (is_found, step) = shop.finds("table-source-faulty");
            assert!(is_found, "{sql}");
            let states = shop.topics.store().source_states().await.unwrap();
            assert_eq!((states[0].fault, states[1].fault), (None, Some(fault)), "{sql}");
            let problems = whole_lag(shop.topics.store()).await.problems;
            let says = format!("table source public.orders of topic shop.orders: {fault}");
            assert!(problems.iter().any(|problem| problem.starts_with(&says)), "{problems:?}");
            let done = shop.shell(&step);
            assert!(done.status.success(), "{step}: {}", String::from_utf8_lossy(&done.stderr));
        }
        let sources = shop.topics.sources().await.unwrap();
        assert_eq!(sources.len(), 1, "a source without its table is dropped");
    });
}

#[test]
fn a_source_of_a_renamed_table_continues_after_its_repair() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add("NEW.customer <> 'it''s'", OnSourceFailure::SetAside).await;
        shop.run("ALTER TABLE orders RENAME TO sold").await;
        let (is_found, steps) = shop.finds("table-source-faulty");
        assert!(is_found);
        let done = shop.shell(&steps);
        assert!(done.status.success(), "{steps}: {}", String::from_utf8_lossy(&done.stderr));
        let sources = shop.topics.sources().await.unwrap();
        let known: Vec<_> = sources.iter().map(|source| (&*source.table, source.fault)).collect();
        assert_eq!(known, [("public.sold", None)]);
        assert_eq!(sources[0].on_failure, OnSourceFailure::SetAside);
        shop.run("INSERT INTO sold VALUES (7, 'ada', 1)").await;
        let request = Consume { start: Some(Start::Earliest), ..Consume::of(TOPIC) };
        let consumed = shop.topics.consume(&request, None).await.unwrap();
        assert_eq!(consumed.messages.len(), 1, "the change has one event");
    });
}

#[test]
fn the_doctor_finds_rows_that_were_set_aside() {
    block_on(async {
        let mut shop = Shop::new().await;
        shop.add(DIVIDES, OnSourceFailure::SetAside).await;
        assert!(!shop.finds("table-source-rows-set-aside").0);
        shop.run("INSERT INTO orders VALUES (1, 'ada', 0), (2, 'bob', 0)").await;
        let (is_found, step) = shop.finds("table-source-rows-set-aside");
        assert!(is_found && step.contains("dlq list --consumer 'route:shop.orders:public.orders'"), "{step}");
        let problems = whole_lag(shop.topics.store()).await.problems;
        assert!(
            problems.iter().any(|text| text.starts_with("events of 2 rows of public.orders")),
            "{problems:?}"
        );
        assert!(shop.messagekit(&["dlq", "discard", "1"]).0 && shop.messagekit(&["dlq", "discard", "2"]).0);
        assert!(!shop.finds("table-source-rows-set-aside").0);
    });
}
