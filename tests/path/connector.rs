//! The connector as `messagekit connector` creates and checks it: the records on Kafka, and the problems that its state
//! RUNNING hides.

use std::process::Command;
use std::time::{Duration, Instant};

use messagekit::headers;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{Database, Port, services};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::billing::PATIENCE;
use crate::turn;
use crate::{broker, cdc};
use messagekit_tests::Server;

/// The time limit of a check, whatever hangs: its own limit of 8 s, and the delay of a busy machine.
const LOOK: Duration = Duration::from_secs(90);

/// A database with the connector's commands. A drop deletes connector and slot.
struct Captured {
    url: String,
}

struct Answer {
    code: i32,
    out: String,
    err: String,
}

fn messagekit(arguments: &[&str]) -> Answer {
    let output = cdc::messagekit(arguments);
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Answer { code: output.status.code().expect("ends"), out: text(output.stdout), err: text(output.stderr) }
}

impl Answer {
    fn ok(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }
}

impl Captured {
    fn new(url: &str) -> Self {
        let captured = Self { url: url.to_owned() };
        messagekit(&["migrate", "--cdc", "--database", url]).ok();
        captured
    }

    fn connector(&self, arguments: &[&str]) -> Answer {
        let connect = services::connect_url();
        let place = ["--database", &self.url, "--connect", &connect];
        messagekit(&[&["connector"], arguments, &place[..]].concat())
    }

    /// Checks the connector and expects this problem within the time limit. Returns the connector's own status.
    fn has_problem(&self, check: &str, what: &str) -> Value {
        let (status, problem) = self.problem(check);
        assert!(problem["problem"].as_str().is_some_and(|text| text.contains(what)), "{status}");
        assert!(problem["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{status}");
        let lines = self.connector(&["status"]).out;
        assert!(lines.lines().any(|line| line.starts_with(check) && line.contains("PROBLEM")), "{lines}");
        status
    }

    /// Repeats the check while a busy worker does not report RUNNING.
    fn problem(&self, check: &str) -> (Value, Value) {
        let end = Instant::now() + DEADLINE;
        loop {
            let start = Instant::now();
            let answer = self.connector(&["status", "--json"]);
            assert!(start.elapsed() < LOOK, "it took {:?}", start.elapsed());
            assert_eq!(answer.code, 1, "{}", answer.out);
            let status: Value = serde_json::from_str(&answer.out).expect("JSON");
            let problem = status["checks"].as_array().unwrap().iter().find(|line| line["check"] == check);
            let problem = problem.unwrap_or_else(|| panic!("{check} is not there: {status}")).clone();
            if (says_running(&status) && problem["problem"].is_string()) || Instant::now() > end {
                return (status, problem);
            }
        }
    }

    async fn is_well(&self) {
        eventually("all is well", DEADLINE, async || self.connector(&["status"]).code == 0).await;
    }

    /// Applies it repeatedly until a slow worker has started it.
    async fn until_applied(&self) {
        eventually("it is applied", PATIENCE, async || self.connector(&["apply"]).code == 0).await;
    }

    async fn connection(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connects")
    }
}

impl Drop for Captured {
    fn drop(&mut self) {
        let deleted = self.connector(&["delete", "--slot", "--yes"]);
        if deleted.code != 0 && !std::thread::panicking() {
            panic!("the connector is left behind: {}", deleted.err);
        }
    }
}

async fn run(conn: &mut PgConnection, sql: impl Into<String>) {
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.into()))).await.expect("runs");
}

fn signal(signal: &str, process: i32) {
    let sent = Command::new("kill").args([signal, &process.to_string()]).status().expect("kill runs");
    assert!(sent.success(), "{process} is not there");
}

/// Returns whether connector and task report RUNNING.
fn says_running(status: &Value) -> bool {
    let says = |check: &str| {
        let checks = status["checks"].as_array().unwrap();
        checks.iter().any(|line| line["check"] == check && line["state"] == "says RUNNING")
    };
    says("connector") && says("task")
}

/// Waits until a topic holds `count` records, and returns them in the order in which they were written.
async fn records(topic: &str, count: i64) -> Vec<broker::Raw> {
    eventually("the records have arrived", PATIENCE, async || {
        broker::ends(topic).is_some_and(|ends| ends.iter().sum::<i64>() >= count)
    })
    .await;
    broker::read(topic)
}

#[test]
fn row_arrives_byte_for_byte_and_a_second_apply_changes_nothing() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let captured = Captured::new(database.url());
        let name = format!("messagekit-{}", database.name());
        // On a busy machine it may give up before the connector reads: the next one finds it as it is.
        let first = captured.connector(&["apply"]);
        let is_late =
            ["does not stay with the slot", "does not answer"].iter().any(|text| first.err.contains(text));
        let is_created = first.code == 0 && first.out.starts_with(&format!("{name}: created"));
        assert!(is_created || is_late, "{}{}", first.out, first.err);
        captured.until_applied().await;
        eventually("applying it again changes nothing", PATIENCE, async || {
            let again = captured.connector(&["apply"]);
            assert!(again.code != 0 || again.out.starts_with(&format!("{name}: unchanged")), "{}", again.out);
            again.code == 0
        })
        .await;
        captured.is_well().await;
        eventually("its state is well", PATIENCE, async || {
            let status = captured.connector(&["status"]);
            status.code == 0 && status.out.lines().all(|line| line.contains(" ok"))
        })
        .await;

        let topic = unique("connector");
        let mut conn = captured.connection().await;
        // Bytes that every decoder would change.
        let payload = b"{\"dec\":1.10,\"big\":12345678901234567890}\x00\xff\n";
        let insert = "INSERT INTO messagekit.outbox_events
            (event_id, topic, aggregate_id, event_type, payload, content_type, headers, traceparent)
            VALUES ('m-ü', $1, 'key ü', 'orders.order.placed', $2, 'application/json', '{\"tenant\": \"north\"}', '00-ab-cd-01'),
                   ('m-2', $1, NULL, NULL, '', NULL, NULL, NULL) RETURNING created_at::text";
        let created: Vec<String> =
            sqlx::query_scalar(insert).bind(&topic).bind(&payload[..]).fetch_all(&mut conn).await.unwrap();
        let records = records(&topic, 2).await;
        assert_eq!(records.len(), 2);
        let of = |id: &str| records.iter().find(|record| record.id() == id).expect("arrived");

        let full = of("m-ü");
        assert_eq!(full.key.as_deref(), Some("key ü".as_bytes()));
        assert_eq!(full.payload, payload);
        let names: Vec<&str> = full.headers.iter().map(|(name, _)| &**name).collect();
        let expected = [
            headers::ID,
            headers::EVENT_TYPE,
            headers::CONTENT_TYPE,
            headers::TRACEPARENT,
            headers::CREATED_AT,
            headers::FREE_HEADERS,
        ];
        assert_eq!(names, expected);
        assert_eq!(full.header(headers::EVENT_TYPE), Some("orders.order.placed"));
        assert_eq!(full.header(headers::CONTENT_TYPE), Some("application/json"));
        assert_eq!(full.header(headers::TRACEPARENT), Some("00-ab-cd-01"));
        assert_eq!(full.header(headers::FREE_HEADERS), Some(r#"{"tenant": "north"}"#));
        let time: jiff::Timestamp = full.header(headers::CREATED_AT).unwrap().parse().expect("RFC 3339");
        let offset = |text: &str| format!("{text}:00");
        assert_eq!(time, offset(&created[0]).parse::<jiff::Timestamp>().unwrap());

        let bare = of("m-2");
        assert_eq!((&bare.key, &*bare.payload), (&None, &b""[..]));
        let nulls: Vec<&str> =
            bare.headers.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| &**name).collect();
        assert_eq!(
            nulls,
            [headers::EVENT_TYPE, headers::CONTENT_TYPE, headers::TRACEPARENT, headers::FREE_HEADERS]
        );
        assert!(bare.header(headers::CREATED_AT).is_some());
        assert_eq!(broker::ends(&topic).unwrap().len(), 8, "partitions of a topic that was not there");
    });
}

#[test]
fn faults_behind_a_running_connector_are_found_and_repaired() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let captured = Captured::new(database.url());
        captured.until_applied().await;
        let mut conn = captured.connection().await;
        let name = database.name();

        run(&mut conn, "ALTER PUBLICATION messagekit_outbox DROP TABLE messagekit.outbox_events").await;
        let status = captured.has_problem("publication", "no event leaves");
        assert!(says_running(&status), "{status}");
        let refused = captured.connector(&["apply"]);
        assert!(
            refused.code == 1 && refused.err.contains("SET TABLE messagekit.outbox_events"),
            "{}",
            refused.err
        );
        messagekit(&["migrate", "--cdc", "--database", &captured.url]).ok();
        captured.is_well().await;

        run(&mut conn, format!("REVOKE CONNECT ON DATABASE {name} FROM PUBLIC, messagekit_cdc")).await;
        let status = captured.has_problem("role", "no CONNECT right");
        assert!(says_running(&status), "{status}");
        messagekit(&["migrate", "--cdc", "--database", &captured.url]).ok();
        captured.is_well().await;

        // Without its reader for the duration of the drop.
        let slot = format!("messagekit_{name}");
        let drop_slot = format!(
            "SELECT pg_terminate_backend(active_pid, 5000) FROM pg_replication_slots WHERE slot_name = '{slot}' AND active;
             SELECT pg_drop_replication_slot('{slot}')"
        );
        eventually("the slot is dropped", DEADLINE, async || {
            conn.execute(sqlx::raw_sql(AssertSqlSafe(drop_slot.clone()))).await.is_ok()
        })
        .await;
        captured.has_problem("slot", "is missing");

        // As the cure in the report says.
        captured.connector(&["delete", "--slot", "--yes"]).ok();
        messagekit(&["migrate", "--cdc", "--database", &captured.url]).ok();
        captured.until_applied().await;
        let topic = unique("connector");
        let publish = format!("SELECT messagekit.publish('{topic}', 'k', 'a.b', '{{}}')");
        run(&mut conn, publish).await;
        assert_eq!(records(&topic, 1).await.len(), 1);
    });
}

#[test]
fn dropped_publication_is_unhealthy_until_the_fix_is_applied() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        let captured = Captured::new(database.url());
        captured.until_applied().await;
        let topic = unique("connector");
        let publish =
            |id: &str| format!("SELECT messagekit.publish('{topic}', 'k', 'a.b', '{{}}', id => '{id}')");
        let mut conn = captured.connection().await;
        run(&mut conn, "DROP PUBLICATION messagekit_outbox").await;
        run(&mut conn, publish("between")).await;
        let status = captured.has_problem("publication", "is missing");
        let checks = status["checks"].as_array().unwrap();
        let fix = checks.iter().find(|line| line["check"] == "publication").unwrap()["fix"].as_str().unwrap();
        assert!(fix.contains("delete --slot") && fix.contains("publish again"), "{fix}");
        let refused = messagekit(&["migrate", "--cdc", "--database", &captured.url]);
        assert!(refused.code == 1 && refused.err.contains("delete --slot"), "{}", refused.err);

        // An operator who creates it by hand learns that nothing reads it, and how to start again.
        let table =
            "TABLE messagekit.outbox_events WITH (publish = 'insert', publish_via_partition_root = true)";
        run(&mut conn, format!("CREATE PUBLICATION messagekit_outbox FOR {table}")).await;
        let refused = captured.connector(&["apply"]);
        assert!(refused.code == 1 && refused.err.contains("delete --slot"), "{}{}", refused.out, refused.err);

        captured.connector(&["delete", "--slot", "--yes"]).ok();
        messagekit(&["migrate", "--cdc", "--database", &captured.url]).ok();
        captured.until_applied().await;
        run(&mut conn, publish("after")).await;
        assert_eq!(records(&topic, 1).await[0].id(), "after");
    });
}

#[test]
fn a_lost_slot_is_found_while_the_connector_says_running() {
    let _turn = turn::together();
    block_on(async {
        let settings =
            ["wal_level=logical", "max_slot_wal_keep_size=2MB", "max_wal_size=4MB", "min_wal_size=2MB"];
        let server = Server::start(&settings).await;
        let captured = Captured::new(&server.url("shop"));
        captured.until_applied().await;
        let topic = unique("connector");
        let mut conn = captured.connection().await;
        run(&mut conn, format!("SELECT messagekit.publish('{topic}', 'k', 'a.b', '{{}}')")).await;
        records(&topic, 1).await;
        // Freeze the reader while the WAL grows over the limit: the server ends it, and the connector restarts.
        let reader = "SELECT active_pid FROM pg_replication_slots WHERE slot_name = 'messagekit_shop'";
        let reader: i32 = sqlx::query_scalar(reader).fetch_one(&mut conn).await.expect("somebody reads");
        signal("-STOP", reader);
        for _ in 0..8 {
            run(&mut conn, "SELECT pg_logical_emit_message(false, 'fill', 'x'); SELECT pg_switch_wal()")
                .await;
        }
        let mut other = captured.connection().await;
        let checkpoint = tokio::spawn(async move { run(&mut other, "CHECKPOINT").await });
        let waits = "SELECT EXISTS (SELECT FROM pg_stat_activity
            WHERE backend_type = 'checkpointer' AND wait_event = 'ReplicationSlotDrop')";
        eventually("the server wants the slot", DEADLINE, async || {
            sqlx::query_scalar::<_, bool>(waits).fetch_one(&mut conn).await.unwrap()
        })
        .await;
        signal("-CONT", reader);
        checkpoint.await.expect("the checkpoint ends");
        let status = captured.has_problem("slot", "is lost");
        assert!(says_running(&status), "{status}");
        let refused = captured.connector(&["apply"]);
        assert!(refused.code == 1 && refused.err.contains("delete --slot"), "{}", refused.err);
    });
}

#[test]
fn who_does_not_answer_is_named_in_time() {
    let _turn = turn::together();
    block_on(async {
        let database = Database::fresh().await;
        // A port without a listener, and one whose listener never answers.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let silent_at = silent.local_addr().unwrap();
        let closed = Port::free();
        for (place, says) in
            [(closed.address(), "not reachable"), (silent_at.to_string(), "does not answer within")]
        {
            let worker = format!("http://{place}");
            let start = Instant::now();
            let answer =
                messagekit(&["connector", "status", "--database", database.url(), "--connect", &worker]);
            assert!(start.elapsed() < LOOK, "it took {:?}", start.elapsed());
            assert_eq!(answer.code, 1, "{}", answer.out);
            let line = answer.out.lines().find(|line| line.starts_with("worker")).expect("the worker's line");
            assert!(line.contains("PROBLEM") && line.contains(says), "{}", answer.out);

            let url = format!("postgres://me:s3cret@{place}/shop");
            let start = Instant::now();
            let connect = services::connect_url();
            let answer = messagekit(&["connector", "status", "--database", &url, "--connect", &connect]);
            assert!(start.elapsed() < LOOK, "it took {:?}", start.elapsed());
            assert_eq!(answer.code, 1, "{}", answer.out);
            let line =
                answer.out.lines().find(|line| line.starts_with("database")).expect("the database's line");
            assert!(line.contains("PROBLEM") && line.contains("does not answer"), "{}", answer.out);
            assert!(!answer.out.contains("s3cret") && !answer.err.contains("s3cret"));
        }
    });
}
