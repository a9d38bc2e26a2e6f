//! `messagekit admin` as a process, and operators who use it over HTTP.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use messagekit_tests::Database;
use serde_json::Value;
use tempfile::TempDir;
use ureq::Agent;

use crate::process::{Process, program};

/// The time limit of an answer.
const ANSWER: Duration = Duration::from_secs(120);

/// A running admin over one database.
pub(crate) struct Console {
    pub(crate) process: Process,
    address: String,
    folder: TempDir,
    database: Database,
    secrets: Vec<(&'static str, String)>,
}

impl Console {
    /// Starts it for operators with these names.
    pub(crate) fn open(database: &Database, operators: &[&'static str]) -> Self {
        Self::open_for(database, operators, "operator")
    }

    /// Starts it for callers of one role with these names.
    pub(crate) fn open_for(database: &Database, callers: &[&'static str], role: &str) -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let tokens: Vec<_> = callers.iter().map(|name| token(name, role)).collect();
        let lines: String = tokens.iter().map(|(_, line)| format!("{line}\n")).collect();
        fs::write(folder.path().join("tokens"), lines).expect("the tokens can be written");
        let secrets = callers.iter().copied().zip(tokens.into_iter().map(|(secret, _)| secret)).collect();
        let (process, address) = start(&folder, database);
        Self { process, address, folder, database: database.clone(), secrets }
    }

    /// Returns an operator with a token.
    pub(crate) fn operator(&self, name: &str) -> Operator {
        let (_, secret) =
            self.secrets.iter().find(|(known, _)| *known == name).expect("a name that was told");
        let config = Agent::config_builder().timeout_global(Some(ANSWER)).http_status_as_error(false).build();
        let address = self.address.clone();
        Operator { agent: config.new_agent(), address, authorization: format!("Bearer {secret}") }
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Restarts it at another address.
    pub(crate) fn start_again(&mut self) {
        (self.process, self.address) = start(&self.folder, &self.database);
    }
}

fn start(folder: &TempDir, database: &Database) -> (Process, String) {
    let tokens = folder.path().join("tokens");
    let tokens = tokens.to_str().expect("a path of text");
    let shop = format!("shop={}", database.url());
    let arguments = ["admin", "--listen", "127.0.0.1:0", "--database", &shop, "--tokens", tokens];
    let process = Process::start_as("messagekit-admin", "messagekit", &arguments, &[]);
    let address = process.address();
    (process, address)
}

/// Creates a token. Returns it and the line that accepts it.
fn token(name: &str, role: &str) -> (String, String) {
    let mut command = Command::new(program("messagekit"));
    command.args(["admin", "token", "--name", name, "--role", role, "--json"]).stdin(Stdio::null());
    let output = command.output().expect("messagekit starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| token[name].as_str().expect("text").to_owned();
    (text("token"), text("line"))
}

/// A client with a token.
#[derive(Clone)]
pub(crate) struct Operator {
    agent: Agent,
    address: String,
    authorization: String,
}

impl Operator {
    /// Sends a GET request, and returns the status and the body.
    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        let request = self.agent.get(format!("{}{path}", self.address));
        let mut answer =
            request.header("authorization", &self.authorization).call().expect("the admin answers");
        let body = answer.body_mut().read_json().expect("JSON");
        (answer.status().as_u16(), body)
    }

    /// Sends a GET request that must succeed.
    pub(crate) fn shows(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    /// Downloads the body unchanged.
    pub(crate) fn downloads(&self, path: &str) -> Vec<u8> {
        let request = self.agent.get(format!("{}{path}", self.address));
        let mut answer =
            request.header("authorization", &self.authorization).call().expect("the admin answers");
        assert_eq!(answer.status().as_u16(), 200, "GET {path}");
        answer.body_mut().read_to_vec().expect("bytes")
    }

    /// Sends a POST request without a body.
    pub(crate) fn acts(&self, path: &str) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.address));
        let mut answer =
            request.header("authorization", &self.authorization).send_empty().expect("the admin answers");
        let body = answer.body_mut().read_json().expect("JSON");
        (answer.status().as_u16(), body)
    }

    /// Sends an order as JSON.
    pub(crate) fn sends(&self, path: &str, order: &Value) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.address));
        let request = request.header("authorization", &self.authorization);
        let mut answer = request.send_json(order).expect("the admin answers");
        let body = answer.body_mut().read_json().expect("JSON");
        (answer.status().as_u16(), body)
    }
}
