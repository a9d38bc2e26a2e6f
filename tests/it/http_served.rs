//! A server in a process that is killed, and started again at its address.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use messagekit_admin::Token;
use messagekit_tests::{Caller, Launch, Program};
use serde_json::{Value, json};

pub(crate) const TOPIC: &str = "shop.jobs";

/// `messagekit admin` over one database, which can be killed and started again.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    database: String,
    service: Token,
    admin: Token,
    viewer: Token,
    running: Mutex<Running>,
}

struct Running {
    program: Program,
    url: String,
}

impl Served {
    /// Starts the program for a database, and makes the topic with four partitions.
    pub(crate) fn start(url: &str) -> Self {
        let folder = tempfile::TempDir::new().unwrap();
        let token = || Token::generate().unwrap();
        let (service, admin, viewer) = (token(), token(), token());
        let line = |of: &str, token: &Token| format!("{of} {}\n", token.hash());
        let tokens =
            line("worker service", &service) + &line("ann admin", &admin) + &line("eve viewer", &viewer);
        fs::write(folder.path().join("tokens"), tokens).unwrap();
        let database = format!("shop={url}");
        let running = Mutex::new(spawn(folder.path(), &database, "127.0.0.1:0"));
        let served = Self { folder, database, service, admin, viewer, running };
        let create = format!("CREATE TOPIC {TOPIC} PARTITIONS 4 WITH (key = 'n', dedup = ('n'))");
        served.sql(&create);
        served
    }

    /// Kills the process with SIGKILL, and starts another one at its address.
    pub(crate) fn kill(&self) {
        self.end();
        self.start_again();
    }

    /// Kills the process with SIGKILL.
    pub(crate) fn end(&self) {
        self.running().program.kill();
    }

    /// Starts another process at the address of the one that has ended.
    pub(crate) fn start_again(&self) {
        let mut running = self.running();
        *running = spawn(self.folder.path(), &self.database, running.url.trim_start_matches("http://"));
    }

    pub(crate) fn url(&self) -> String {
        self.running().url.clone()
    }

    /// Returns the token of a service.
    pub(crate) fn token(&self) -> &str {
        self.service.secret()
    }

    /// Returns the token of a role that has no right on records.
    pub(crate) fn viewer(&self) -> &str {
        self.viewer.secret()
    }

    fn running(&self) -> std::sync::MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns what all of its processes have logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(log(self.folder.path())).unwrap()
    }

    /// Returns status and body, or `None` if the server was killed before it answered.
    pub(crate) fn post(&self, route: &str, body: &Value) -> Option<(u16, Value)> {
        self.post_as(&self.service, &format!("topics/{route}"), body)
    }

    fn post_as(&self, token: &Token, route: &str, body: &Value) -> Option<(u16, Value)> {
        let caller = Caller::with_token(&self.url(), token.secret());
        caller.tries(&format!("/v1/api/{route}"), body).ok()
    }

    /// Returns the rows of a statement.
    pub(crate) fn sql(&self, sql: &str) -> Value {
        let (status, answer) = self.post_as(&self.admin, "sql", &json!({ "sql": sql })).expect("it runs");
        assert_eq!(status, 200, "{sql}: {answer}");
        answer["results"][0]["rows"].clone()
    }

    pub(crate) fn secrets(&self) -> [&str; 2] {
        [self.service.secret(), self.admin.secret()]
    }
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn spawn(folder: &Path, database: &str, listen: &str) -> Running {
    let arguments = ["admin", "--listen", listen, "--database", database, "--tokens"];
    let launch = Launch::of("messagekit").arguments(&arguments).path(&folder.join("tokens"));
    let program = launch.log(&log(folder)).start();
    let url = program.address();
    Running { program, url }
}
