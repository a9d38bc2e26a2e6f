//! A relay in its own process.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;

use messagekit_testkit::{DEADLINE, crash, eventually};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::command::program;

/// A running relay. A drop kills it.
pub(crate) struct Relay {
    pub(crate) name: String,
    child: Child,
    lines: mpsc::Receiver<String>,
    log: PathBuf,
}

impl Relay {
    /// Starts a relay, with a crash point if there is one.
    pub(crate) fn start(name: &str, config: &Path, database: &str, at: Option<&str>) -> Self {
        Self::start_with(name, config, database, at.map(|at| (crash::VARIABLE, at)).as_slice())
    }

    /// Starts a relay with additional variables.
    pub(crate) fn start_with(name: &str, config: &Path, database: &str, variables: &[(&str, &str)]) -> Self {
        let log = config.with_file_name(format!("{name}.log"));
        let errors = File::options().append(true).create(true).open(&log).unwrap();
        let mut command = Command::new(program());
        command.args([
            "relay",
            "--name",
            name,
            "--database",
            database,
            "--listen",
            "127.0.0.1:0",
            "--config",
        ]);
        command.arg(config).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        command.envs(variables.iter().copied());
        Self::spawn(name, command, log)
    }

    /// Starts a relay of which one call in a hundred fails.
    pub(crate) fn flaky(name: &str, folder: &Path, database: &str, brokers: &str) -> Self {
        let log = folder.join(format!("{name}.log"));
        let errors = File::options().append(true).create(true).open(&log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_flaky-relay"));
        command.envs([("NAME", name), ("DATABASE", database), ("BROKERS", brokers)]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(errors);
        Self::spawn(name, command, log)
    }

    fn spawn(name: &str, mut command: Command, log: PathBuf) -> Self {
        let mut child = command.spawn().unwrap();
        let output = child.stdout.take().unwrap();
        let (tell, lines) = mpsc::channel();
        // Read to the end, even without a receiver: a full pipe would block the program.
        std::thread::spawn(move || {
            BufReader::new(output).lines().map_while(Result::ok).for_each(|line| drop(tell.send(line)));
        });
        Self { name: name.to_owned(), child, lines, log }
    }

    /// Requests `/health/ready`, and returns the status and the body.
    pub(crate) fn health(&self, address: &str) -> Option<(u16, Value)> {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut answer = agent.get(format!("{address}/health/ready")).call().ok()?;
        let text = answer.body_mut().read_to_string().ok()?;
        Some((answer.status().as_u16(), serde_json::from_str(&text).unwrap()))
    }

    /// Waits for the line with its address.
    pub(crate) fn address(&self) -> String {
        let line = self.lines.recv_timeout(DEADLINE);
        let line = line.unwrap_or_else(|_| panic!("{} did not start: {}", self.name, self.said()));
        line.strip_prefix("health and metrics on ").unwrap_or_else(|| panic!("{line}")).to_owned()
    }

    /// Waits until `says` accepts its readiness report.
    pub(crate) async fn reports(&mut self, address: &str, what: &str, says: impl Fn(u16, &Value) -> bool) {
        eventually(what, DEADLINE, async || {
            self.is_alive_still();
            self.health(address).is_some_and(|(code, report)| says(code, &report))
        })
        .await;
    }

    /// Returns how many of its calls have failed since the last call of this function.
    pub(crate) fn failures(&self) -> usize {
        self.lines.try_iter().filter(|line| line.starts_with("failed a call")).count()
    }

    pub(crate) fn is_alive_still(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended with {ended:?}: {}", self.name, self.said());
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(mut self) {
        self.is_alive_still();
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, and expects a clean exit.
    pub(crate) async fn stop(mut self) {
        self.is_alive_still();
        self.send(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{} ended with {status}: {}", self.name, self.said());
    }

    /// Waits until it has aborted at its crash point.
    pub(crate) async fn dies(mut self) {
        let status = self.ended().await;
        assert_eq!(status.signal(), Some(6), "aborted, and not ended with {status}: {}", self.said());
    }

    async fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the relay ends", DEADLINE, async || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap()
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
