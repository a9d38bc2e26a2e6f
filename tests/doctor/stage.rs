//! Runs the doctor, and the repairs that it prints.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use messagekit_sqlite::rusqlite;
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services;
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::kafka_tools;

/// What is examined, and where statements are run.
#[derive(Clone, Debug)]
pub(crate) struct Stage {
    arguments: Vec<String>,
    /// The database of `sql` steps: a URL of its owner, or a file.
    owner: String,
}

/// One run of the doctor.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Stage {
    /// Examines a database, whose URL contains a password.
    pub(crate) fn database(url: &str) -> Self {
        Self { arguments: vec!["--database".to_owned(), url.to_owned()], owner: url.to_owned() }
    }

    /// Examines with these options.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self { arguments: arguments.iter().map(|text| (*text).to_owned()).collect(), owner: String::new() }
    }

    /// Runs statements under another URL than the examined one.
    pub(crate) fn owned_by(mut self, owner: &str) -> Self {
        owner.clone_into(&mut self.owner);
        self
    }

    pub(crate) fn look(&self) -> Report {
        let output = messagekit("doctor").args(&self.arguments).arg("--json").output().expect("it starts");
        let code = output.status.code().expect("no signal ends it");
        let json =
            serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        Report { code, json }
    }

    /// Waits until a fault is found: the server counts some of them a moment later.
    pub(crate) async fn finds(&self, name: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let report = self.look();
            let is_problem = |found: &Value| found["severity"] == "problem";
            let any = report.findings().iter().any(is_problem);
            assert_eq!(report.code, i32::from(any), "{}", report.json);
            match report.finding(name) {
                Some(found) => return found,
                None => assert!(Instant::now() < end, "{name} is not found: {}", report.json),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a fault is found, runs its repair as it is printed, and waits until it is gone. What only a person
    /// can do is done by `by_hand`.
    pub(crate) async fn heals(&self, name: &str, mut by_hand: impl AsyncFnMut(&str)) {
        let found = self.finds(name).await;
        for field in ["service", "subject", "text", "why"] {
            assert!(found[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {found}");
        }
        let steps = found["repair"].as_array().expect("a list");
        assert!(!steps.is_empty(), "{found}");
        for step in steps {
            let text = step["text"].as_str().expect("a text");
            match step["kind"].as_str() {
                Some("sql") => self.sql(text).await,
                Some("command") => {
                    let done = shell(text);
                    assert!(done.status.success(), "{text}: {}", String::from_utf8_lossy(&done.stderr));
                }
                Some("manual") => by_hand(text).await,
                kind => panic!("{kind:?} of {found}"),
            }
        }
        eventually(&format!("{name} is gone"), DEADLINE, async || !self.look().has(name)).await;
    }

    async fn sql(&self, text: &str) {
        if let Some(path) = self.owner.strip_prefix("sqlite:") {
            let file = rusqlite::Connection::open(path).unwrap();
            file.execute_batch(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            return;
        }
        let mut conn = PgConnection::connect(&self.owner).await.unwrap();
        let done = conn.execute(sqlx::raw_sql(AssertSqlSafe(text.to_owned()))).await;
        done.unwrap_or_else(|error| panic!("{text}: {error}"));
    }
}

impl Report {
    pub(crate) fn findings(&self) -> &[Value] {
        self.json["findings"].as_array().expect("a list")
    }

    pub(crate) fn finding(&self, name: &str) -> Option<Value> {
        self.findings().iter().find(|found| found["name"] == name).cloned()
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.finding(name).is_some()
    }

    /// Returns why a check was not made.
    pub(crate) fn unchecked(&self, name: &str) -> Option<&str> {
        let unchecked = self.json["unchecked"].as_array().expect("a list").iter();
        unchecked
            .filter(|unchecked| unchecked["name"] == name)
            .find_map(|unchecked| unchecked["reason"].as_str())
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.findings().iter().map(|found| found["name"].as_str().expect("a text")).collect()
    }
}

/// Does nothing: the repair has no step for a person, or that step needs nothing here.
pub(crate) async fn nothing(_: &str) {}

/// Runs the command of messagekit that a step for a person names, with an end for a replay.
pub(crate) async fn as_written(step: &str) {
    let Some(command) = step.split('`').nth(1) else { return };
    let mut line = command.replace("--to TO", "--to 0s");
    if line.starts_with("messagekit replay start") {
        line.push_str(" --yes");
    }
    let end = Instant::now() + DEADLINE;
    loop {
        let done = shell(&line);
        if done.status.success() {
            return;
        }
        // A command for a connector may be repeated: a busy worker of Connect starts it late.
        let again = line.contains("messagekit connector ") && Instant::now() < end;
        assert!(again, "{line}: {}", String::from_utf8_lossy(&done.stderr));
    }
}

/// Runs a line in a shell that finds the programs, and the passwords in its environment.
pub(crate) fn shell(line: &str) -> Output {
    let mut shell = Command::new("sh");
    with_environment(shell.args(["-c", line])).output().expect("there is a shell")
}

/// Returns a command of the program that was built together with these tests.
pub(crate) fn messagekit(command: &str) -> Command {
    let mut program = Command::new(programs().join("messagekit"));
    with_environment(program.arg(command));
    program
}

fn programs() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_worker")).parent().expect("a folder");
    let program = folder.join("messagekit");
    assert!(program.exists(), "{} is not built: run `cargo build --workspace`", program.display());
    folder.to_owned()
}

pub(crate) fn with_environment(command: &mut Command) -> &mut Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{}:{path}", programs().display(), kafka_tools::folder().display());
    let login = services::amqp_url();
    let login = login.split_once("://").and_then(|(_, rest)| rest.split_once('@')).expect("a login").0;
    let password = std::env::var("MESSAGEKIT_CDC_PASSWORD").unwrap_or_else(|_| "messagekit-cdc".to_owned());
    command
        .env("PATH", path)
        .env("PGPASSWORD", "messagekit")
        .env("RABBITMQ_LOGIN", login)
        .env("MESSAGEKIT_CDC_PASSWORD", password)
        .env("MESSAGEKIT_CONNECT_URL", services::connect_url())
        .env_remove("MESSAGEKIT_DATABASE_URL")
        .stdin(Stdio::null())
}

/// Runs statements on a database.
pub(crate) async fn run(url: &str, sql: impl Into<String>) {
    let mut conn = PgConnection::connect(url).await.unwrap();
    let sql = sql.into();
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql.clone())))
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
}
