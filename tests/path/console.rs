//! `messagekit admin` as a process, and operators who use it over HTTP.

use std::fs;

use messagekit_tests::{Caller, Database, Program, command};
use serde_json::Value;
use tempfile::TempDir;

use crate::process::launch;

/// A running admin over one database.
pub(crate) struct Console {
    pub(crate) process: Program,
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
    pub(crate) fn operator(&self, name: &str) -> Caller {
        let (_, secret) =
            self.secrets.iter().find(|(known, _)| *known == name).expect("a name that was told");
        Caller::with_token(&self.address, secret)
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

fn start(folder: &TempDir, database: &Database) -> (Program, String) {
    let tokens = folder.path().join("tokens");
    let tokens = tokens.to_str().expect("a path of text");
    let shop = format!("shop={}", database.url());
    let arguments = ["admin", "--listen", "127.0.0.1:0", "--database", &shop, "--tokens", tokens];
    let process = launch("messagekit", &arguments).named("messagekit-admin").start();
    let address = process.address();
    (process, address)
}

/// Creates a token. Returns it and the line that accepts it.
fn token(name: &str, role: &str) -> (String, String) {
    let arguments = ["admin", "token", "--name", name, "--role", role, "--json"];
    let output = command("messagekit").args(arguments).output().expect("messagekit starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let token: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |name: &str| token[name].as_str().expect("text").to_owned();
    (text("token"), text("line"))
}
