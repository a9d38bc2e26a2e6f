//! A member in its own process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use messagekit_testkit::{DEADLINE, eventually};
use rustix::process::{Pid, Signal, kill_process};

/// How many lines of a member's log a failing test shows.
const SHOWN: usize = 60;

/// A running member. A drop kills it, and shows its log when the test fails.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    pub(crate) fn start(settings: &[(&str, &str)], log: &Path) -> Self {
        let errors = File::options().append(true).create(true).open(log).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_member"));
        command.envs(settings.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
        Self { child: command.spawn().unwrap(), log: log.to_owned() }
    }

    pub(crate) fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Returns its exit status, if it has exited.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM, and expects a clean exit.
    pub(crate) async fn leave(&mut self) {
        self.send(Signal::TERM);
        let mut ended = None;
        eventually("the member ends", DEADLINE, async || {
            ended = self.child.try_wait().unwrap();
            ended.is_some()
        })
        .await;
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}: {}", self.said());
    }

    /// Returns its error output.
    pub(crate) fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let said = self.said();
            let lines: Vec<&str> = said.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            println!("-- {}, the last lines of {}\n{}", self.log.display(), lines.len(), shown.join("\n"));
        }
    }
}
