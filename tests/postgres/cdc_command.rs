//! The command line on a real server: migration, capture and failed messages, and one line for each mistake.

use std::path::Path;
use std::process::{Command, Stdio};

use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, ReceivedMessage};
use messagekit::{Message, Store, headers};
use messagekit_postgres::migrations::MIGRATIONS;
use messagekit_testkit::block_on;
use messagekit_tests::Database;
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};

use messagekit_tests::Server;

struct Answer {
    code: i32,
    out: String,
    err: String,
}

/// Runs the program that was built together with these tests.
fn messagekit(arguments: &[&str], url: &str) -> Answer {
    let path = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
    let mut command = Command::new(path);
    command.args(arguments).args(["--database", url]).env_remove("MESSAGEKIT_CDC_PASSWORD");
    let output = command.env("COLUMNS", "200").stdin(Stdio::null()).output().expect("messagekit is built");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Answer { code: output.status.code().expect("ends"), out: text(output.stdout), err: text(output.stderr) }
}

impl Answer {
    fn ok(self) -> String {
        assert_eq!((self.code, &*self.err), (0, ""), "{}", self.out);
        self.out
    }

    fn json(self) -> Value {
        serde_json::from_str(&self.ok()).expect("JSON")
    }

    /// Expects one line that contains these texts, and nothing else.
    fn refused(self, says: &[&str]) {
        assert_eq!((self.code, &*self.out), (1, ""), "{}", self.err);
        assert_eq!(self.err.lines().count(), 1, "{}", self.err);
        for text in says {
            assert!(self.err.contains(text), "{text:?} is missing: {}", self.err);
        }
    }
}

fn latest() -> u32 {
    messagekit_postgres::migrations::MIGRATIONS.last().unwrap().version
}

#[test]
fn a_database_is_migrated_once_and_looking_changes_nothing() {
    block_on(async {
        let database = Database::empty().await;
        let url = database.url();
        messagekit(&["dlq", "list"], url)
            .refused(&["tables of messagekit are missing", "messagekit migrate"]);
        let status = messagekit(&["migrate", "--status", "--json"], url).json();
        let steps: Vec<&str> = MIGRATIONS.iter().map(|step| step.name).collect();
        assert_eq!((&status["current"], &status["pending"]), (&0.into(), &serde_json::json!(steps)));
        let sql = messagekit(&["migrate", "--dry-run"], url).ok();
        assert!(sql.starts_with("SET standard_conforming_strings = on;\n\nCREATE SCHEMA"), "{sql}");
        assert!(sql.contains("messagekit.publish("), "{sql}");
        assert_eq!(messagekit(&["migrate", "--status", "--json"], url).json(), status, "nothing was made");

        let name = database.name();
        assert_eq!(messagekit(&["migrate"], url).ok(), format!("{name}: version 0 → {}\n", latest()));
        assert_eq!(messagekit(&["migrate"], url).ok(), format!("{name}: version {}, up to date\n", latest()));
        assert_eq!(messagekit(&["dlq", "list"], url).ok(), "no failed messages\n");
    });
}

#[test]
fn a_refused_cdc_setup_changes_nothing_and_names_the_cure() {
    block_on(async {
        let server = Server::start(&["wal_level=logical"]).await;
        let mut admin = PgConnection::connect(&server.url("shop")).await.unwrap();
        messagekit(&["migrate", "--cdc"], &server.url("shop")).refused(&["set MESSAGEKIT_CDC_PASSWORD"]);
        let owner = "CREATE ROLE owner LOGIN PASSWORD 'owner'; ALTER DATABASE shop OWNER TO owner";
        admin.execute(sqlx::raw_sql(owner)).await.unwrap();
        let url = server.url_of("owner:owner", "shop");
        let refused = messagekit(&["migrate", "--cdc"], &url);
        let err = refused.err.clone();
        refused.refused(&["user \"owner\" may not make: role messagekit_cdc", "run `messagekit migrate`"]);
        assert_eq!(messagekit(&["migrate", "--status", "--json"], &url).json()["current"], 0);

        messagekit(&["migrate"], &url).ok();
        let (_, sql) = err.split_once("runs in this database: ").expect("the statements");
        for statement in sql.trim_end().split("; ") {
            let statement = statement.replace("'…'", "'s3cret'");
            admin.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(statement))).await.unwrap();
        }
        let done = messagekit(&["migrate", "--cdc"], &url).ok();
        assert_eq!(done, format!("shop: version {}, up to date; change data capture is ready\n", latest()));
    });
}

#[test]
fn a_failed_message_is_listed_shown_and_asked_for_once_more() {
    block_on(async {
        let database = Database::fresh().await;
        let store = database.store().await;
        let message =
            Message::new("orders.order", "{}").with_header(headers::EVENT_TYPE, "orders.order.placed");
        let received = ReceivedMessage { id: "m-1".parse().unwrap(), message, position: None };
        let mut tx = store.begin().await.unwrap();
        let failure = Failure::permanent(FailureKind::Permanent, "order 1 has no customer");
        store.set_aside(&mut tx, "billing", &received, &failure).await.unwrap();
        store.commit(tx).await.unwrap();
        store.close().await;

        let url = database.url();
        let listed = messagekit(&["dlq", "list", "--json", "--all"], url).json();
        let id = listed["failed_messages"][0]["id"].to_string();
        assert_eq!(listed["failed_messages"][0]["message_id"], "m-1");
        let shown = messagekit(&["dlq", "show", &id], url).ok();
        assert!(shown.contains("order 1 has no customer") && !shown.contains(url), "{shown}");
        assert!(shown.contains(&format!("messagekit dlq retry {id}, with this --database\n")), "{shown}");
        messagekit(&["dlq", "retry", &id], url).ok();
        assert_eq!(messagekit(&["dlq", "retry", &id], url).code, 1, "it was accepted once");
        messagekit(&["dlq", "show", "999"], url).refused(&["there is no failed message 999"]);
    });
}

#[test]
fn each_cdc_mistake_is_one_line_with_a_cure_and_no_password() {
    block_on(async {
        let server = Server::start(&["wal_level=replica"]).await;
        let admin = server.url("shop");
        for command in [&["migrate"][..], &["migrate", "--cdc"], &["migrate", "--status"], &["dlq", "list"]] {
            let wrong = messagekit(command, &server.url_of("messagekit:s3cret", "shop"));
            assert!(!wrong.err.contains("s3cret"), "{}", wrong.err);
            wrong.refused(&["does not let user \"messagekit\" in", "correct user and password"]);
            messagekit(command, &server.url("nowhere"))
                .refused(&["there is no database \"nowhere\"", "create it"]);
        }
        messagekit(&["migrate", "--cdc"], &admin)
            .refused(&["wal_level is replica", "ALTER SYSTEM SET wal_level = 'logical', then restart"]);
        let status = messagekit(&["migrate", "--status", "--json"], &admin).json();
        assert_eq!(status["current"], 0, "nothing was half made");
        messagekit(&["migrate"], &admin).ok();
        let mut conn = PgConnection::connect(&admin).await.unwrap();
        conn.execute("CREATE ROLE nobody LOGIN PASSWORD 'nobody'").await.unwrap();
        messagekit(&["dlq", "list"], &server.url_of("nobody:nobody", "shop"))
            .refused(&["may not use the schema messagekit"]);
    });
}
