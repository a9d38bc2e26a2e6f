//! A contender in its own process.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::frame::Outcome;

const LOOK: Duration = Duration::from_millis(10);

/// A running program. A drop kills it.
pub(crate) struct Program {
    child: Child,
    name: String,
    folder: TempDir,
}

impl Program {
    /// Starts a program whose output goes into a file.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let folder = TempDir::new()?;
        let log = File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { child, name, folder })
    }

    /// Runs a program to its end, which must be successful.
    pub(crate) async fn finish(command: Command) -> Outcome<()> {
        Self::start(command)?.ended_within(Duration::MAX).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails with the last output when the program has exited.
    pub(crate) fn is_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended with {status}: {}", self.name, self.said()).into()),
        }
    }

    /// Kills the program with SIGKILL, and returns the time.
    pub(crate) fn kill(mut self) -> Outcome<Instant> {
        self.end()
    }

    /// Kills the program in place, and returns the time.
    pub(crate) fn end(&mut self) -> Outcome<Instant> {
        self.is_alive()?;
        self.child.kill()?;
        let killed = Instant::now();
        self.child.wait()?;
        Ok(killed)
    }

    pub(crate) fn signal(&self, signal: Signal) -> Outcome<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Waits until the program has exited successfully.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> Outcome<()> {
        let began = Instant::now();
        while began.elapsed() < patience {
            if let Some(status) = self.child.try_wait()? {
                let said = || format!("{} ended with {status}: {}", self.name, self.said());
                return if status.success() { Ok(()) } else { Err(said().into()) };
            }
            tokio::time::sleep(LOOK).await;
        }
        Err(format!("{} has not ended within {patience:?}: {}", self.name, self.said()).into())
    }

    /// Returns its last lines, joined into one.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns a folder of this crate at its build location.
pub(crate) fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
