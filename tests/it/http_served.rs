//! A server in a process that is killed, and started again at its address.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use messagekit_admin::Token;
use serde_json::{Value, json};

/// How long a call may take before the test fails.
const DEADLINE: Duration = Duration::from_secs(300);

pub(crate) const TOPIC: &str = "shop.jobs";

/// `messagekit admin` over one database, which can be killed and started again.
pub(crate) struct Served {
    folder: tempfile::TempDir,
    database: String,
    service: Token,
    admin: Token,
    viewer: Token,
    running: Mutex<Running>,
    agent: ureq::Agent,
}

struct Running {
    child: Child,
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
        let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE));
        let served = Self { folder, database, service, admin, viewer, running, agent: agent.build().into() };
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
        let mut running = self.running();
        assert!(running.child.try_wait().unwrap().is_none(), "it has ended by itself: {}", self.log());
        end(&mut running.child);
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
        let url = format!("{}/v1/api/{route}", self.running().url);
        let call = self.agent.post(&url).header("authorization", format!("Bearer {}", token.secret()));
        let mut answer = call.send_json(body).ok()?;
        Some((answer.status().as_u16(), answer.body_mut().read_json().ok()?))
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

impl Drop for Served {
    fn drop(&mut self) {
        end(&mut self.running().child);
    }
}

fn end(child: &mut Child) {
    child.kill().ok();
    child.wait().ok();
}

fn log(folder: &Path) -> PathBuf {
    folder.join("log")
}

fn spawn(folder: &Path, database: &str, listen: &str) -> Running {
    let program = Path::new(env!("CARGO_BIN_EXE_worker")).with_file_name("messagekit");
    assert!(program.exists(), "{} is not built: run `cargo build --workspace`", program.display());
    let errors = File::options().append(true).create(true).open(log(folder)).unwrap();
    let mut child = Command::new(program)
        .args(["admin", "--listen", listen, "--database", database, "--tokens"])
        .arg(folder.join("tokens"))
        .env_remove("MESSAGEKIT_DATABASE_URL")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(errors)
        .spawn()
        .expect("the program starts");
    let output = BufReader::new(child.stdout.take().unwrap());
    let said = output
        .lines()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
    let Some(url) = said else {
        end(&mut child);
        panic!("the program ended: {}", fs::read_to_string(log(folder)).unwrap());
    };
    Running { child, url }
}
