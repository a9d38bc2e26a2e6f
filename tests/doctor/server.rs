//! Clocks, transactions and an outage, on a server of this test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use messagekit_postgres::migrations;
use messagekit_testkit::block_on;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

use crate::stage::{Stage, nothing, run};
use messagekit_tests::Server;

/// A library that shifts the clock of a server by the number in a file.
struct Clock {
    folder: TempDir,
}

impl Clock {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        // The server runs as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("relay/wrong_clock.c");
        let library = folder.path().join("wrong_clock.so");
        let mut compiler = Command::new("cc");
        let built = compiler.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).output();
        let built = built.expect("there is a C compiler: the client of Kafka needs one too");
        assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
        let clock = Self { folder };
        clock.is_wrong_by(0);
        clock
    }

    fn is_wrong_by(&self, seconds: i64) {
        // At once: a reader never sees an empty file.
        let next = self.folder.path().join("next");
        fs::write(&next, seconds.to_string()).unwrap();
        fs::rename(next, self.folder.path().join("seconds")).unwrap();
    }

    fn variables(&self) -> [(&'static str, String); 2] {
        let path = |name| self.folder.path().join(name).display().to_string();
        [("LD_PRELOAD", path("wrong_clock.so")), ("WRONG_BY_FILE", path("seconds"))]
    }
}

#[test]
fn a_clock_that_is_an_hour_ahead_is_found() {
    block_on(async {
        let clock = Clock::new();
        let server = Server::start_with(&[], &clock.variables()).await;
        let stage = Stage::database(&server.url("shop"));
        assert!(!stage.look().has("clock-differs"));
        clock.is_wrong_by(3_600);
        stage.heals("clock-differs", async |_| clock.is_wrong_by(0)).await;
        clock.is_wrong_by(-3_600);
        stage.heals("clock-differs", async |_| clock.is_wrong_by(0)).await;
    });
}

#[test]
fn transactions_left_open_are_found_and_ended() {
    block_on(async {
        let clock = Clock::new();
        let server = Server::start_with(&["max_prepared_transactions=5"], &clock.variables()).await;
        let url = server.url("shop");
        let mut open = PgConnection::connect(&url).await.unwrap();
        open.execute(sqlx::raw_sql("BEGIN; CREATE TABLE mine (id int)")).await.unwrap();
        run(&url, "BEGIN; CREATE TABLE theirs (id int); PREPARE TRANSACTION 'it''s forgotten'").await;
        let stage = Stage::database(&url);
        let young = stage.look();
        assert!(!young.has("transaction-open-long") && !young.has("prepared-transaction-forgotten"));
        clock.is_wrong_by(1_200);
        let found = stage.finds("transaction-open-long").await;
        open.execute(sqlx::raw_sql("ROLLBACK; BEGIN; CREATE TABLE mine (id int)")).await.unwrap();
        run(&url, found["repair"][1]["text"].as_str().unwrap()).await;
        open.execute("SELECT 1").await.expect("its next transaction goes on");
        clock.is_wrong_by(2_400);
        stage.heals("transaction-open-long", nothing).await;
        assert!(open.execute("SELECT 1").await.is_err(), "its session is over");
        stage.heals("prepared-transaction-forgotten", nothing).await;
    });
}

#[test]
fn a_role_that_sees_no_other_sessions_is_named() {
    block_on(async {
        let server = Server::start(&[]).await;
        let url = server.url("shop");
        run(&url, "CREATE ROLE app LOGIN PASSWORD 'messagekit'").await;
        let stage = Stage::database(&server.url_of("app:messagekit", "shop"));
        let report = stage.look();
        let reason = report.unchecked("transaction-open-long").expect("it is named");
        let (_, grant) = reason.split_once(" runs ").expect("it names the cure");
        run(&url, grant).await;
        assert_eq!(stage.look().unchecked("transaction-open-long"), None);
    });
}

#[test]
fn a_server_without_autovacuum_is_found() {
    block_on(async {
        let server = Server::start(&[]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        run(&url, "ALTER SYSTEM SET autovacuum = off").await;
        run(&url, "SELECT pg_reload_conf()").await;
        Stage::database(&url).heals("autovacuum-off", nothing).await;
    });
}

#[test]
fn a_server_that_is_down_is_found_until_it_is_started() {
    block_on(async {
        let mut server = Server::start(&[]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        server.end("-INT");
        let stage = Stage::database(&url);
        stage.heals("service-unreachable", async |_| server.run().await).await;
        assert_eq!(stage.look().code, 0);
    });
}
