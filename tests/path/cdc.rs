//! A Debezium connector for one database, created and removed by the program `messagekit`.

use std::process::Output;
use std::time::Instant;

use messagekit_tests::{Database, command, services};

use crate::billing::PATIENCE;

/// A connector with its slot. A drop deletes both.
pub(crate) struct Connector {
    url: String,
}

impl Connector {
    /// Prepares the database for change capture and creates the connector.
    pub(crate) fn apply(database: &Database) -> Self {
        let connector = Self { url: database.url().to_owned() };
        until_done(|| messagekit(&["migrate", "--cdc", "--database", &connector.url]));
        until_done(|| connector.command(&["apply"]));
        connector
    }

    /// Deletes the connector with its slot: nothing is captured any more.
    pub(crate) fn delete_with_slot(self) {
        let deleted = self.command(&["delete", "--slot", "--yes"]);
        assert!(deleted.status.success(), "{}", said(&deleted));
        // Both are deleted already.
        std::mem::forget(self);
    }

    fn command(&self, act: &[&str]) -> Output {
        let connect = services::connect_url();
        messagekit(&[&["connector"], act, &["--database", &self.url, "--connect", &connect]].concat())
    }
}

impl Drop for Connector {
    fn drop(&mut self) {
        let deleted = self.command(&["delete"]);
        if !deleted.status.success() {
            println!("the connector is left behind: {}", said(&deleted));
        }
    }
}

/// Repeats an idempotent command until it succeeds: it times out before a slow worker has started.
pub(crate) fn until_done(command: impl Fn() -> Output) {
    let end = Instant::now() + PATIENCE;
    loop {
        let output = command();
        if output.status.success() {
            return;
        }
        assert!(Instant::now() < end, "{}", said(&output));
    }
}

pub(crate) fn messagekit(arguments: &[&str]) -> Output {
    let password = std::env::var("MESSAGEKIT_CDC_PASSWORD").unwrap_or_else(|_| "messagekit-cdc".to_owned());
    let mut command = command("messagekit");
    command.args(arguments).env("MESSAGEKIT_CDC_PASSWORD", password);
    command.output().expect("messagekit starts")
}

pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
