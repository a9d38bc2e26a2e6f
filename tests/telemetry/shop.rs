//! A receiver, a file, and programs with telemetry on it.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use messagekit_tests::{Launch, OtlpReceiver, Span};
use tempfile::TempDir;
use tokio::time::timeout;

pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The span of the caller of a request.
pub(crate) const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
pub(crate) const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

pub(crate) struct Shop {
    pub(crate) receiver: OtlpReceiver,
    folder: TempDir,
}

impl Shop {
    pub(crate) async fn open() -> Self {
        Self { receiver: OtlpReceiver::start().await, folder: TempDir::new().unwrap() }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// Returns the path of the file with a further ending.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.folder.path().join(format!("shop.db.{ending}"))
    }

    /// Returns a command of the program that exports to the receiver.
    pub(crate) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let mut program = Command::new(env!("CARGO_BIN_EXE_traced"));
        // What the machine sets is no part of a scenario.
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("OTEL_")) {
                program.env_remove(name);
            }
        }
        program
            .arg(command)
            .arg(self.file())
            .args(arguments)
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", self.receiver.endpoint())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        program
    }

    /// Returns a program that exports to the receiver.
    pub(crate) fn launch(&self, command: &str, arguments: &[&str]) -> Launch {
        Launch::with("traced", self.command(command, arguments))
    }

    /// Runs a program to its end, which must be a success and come in time.
    pub(crate) async fn run(&self, command: Command) -> Ran {
        let name = format!("{command:?}");
        let mut command = tokio::process::Command::from(command);
        let output = timeout(PATIENCE, command.kill_on_drop(true).output()).await;
        let output = output.unwrap_or_else(|_| panic!("after {PATIENCE:?} it still runs: {name}"));
        let Output { status, stdout, stderr } = output.unwrap();
        let (out, log) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert!(status.success(), "{status}: {log}");
        Ran { out, log }
    }

    /// Places one order in a request of [`CALLER`].
    pub(crate) async fn request(&self, order_id: &str) {
        let mut command = self.command("request", &[]);
        command.env("TRACEPARENT", CALLER).env("ORDER", order_id);
        self.run(command).await;
    }

    pub(crate) async fn consume(&self, count: usize) -> Ran {
        self.run(self.command("consume", &[&count.to_string()])).await
    }
}

/// The output of a program.
pub(crate) struct Ran {
    pub(crate) out: String,
    pub(crate) log: String,
}

/// Returns the spans of a name.
pub(crate) fn named<'a>(spans: &'a [Span], name: &str) -> Vec<&'a Span> {
    spans.iter().filter(|span| span.name == name).collect()
}
