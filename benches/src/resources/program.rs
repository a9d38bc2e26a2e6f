//! A program that takes part as a process of its own.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::frame::Outcome;

const LOOK: Duration = Duration::from_millis(10);

/// It is killed when dropped.
pub(crate) struct Program {
    child: Child,
    name: String,
    folder: TempDir,
}

impl Program {
    /// Starts one, its output going into a file.
    pub(crate) fn start(mut command: Command) -> Outcome<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let folder = TempDir::new()?;
        let log = File::create(folder.path().join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().map_err(|error| format!("{name} does not start: {error}"))?;
        Ok(Self { child, name, folder })
    }

    /// Runs one to its end, which must be a good one.
    pub(crate) async fn finish(command: Command) -> Outcome<()> {
        Self::start(command)?.ended_within(Duration::MAX).await
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Fails when it has ended, with its last words.
    pub(crate) fn is_alive(&mut self) -> Outcome<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(format!("{} ended with {status}: {}", self.name, self.said()).into()),
        }
    }

    /// Ends it by SIGKILL, and returns when.
    pub(crate) fn kill(mut self) -> Outcome<Instant> {
        self.end()
    }

    /// The same of one that is put back into its place.
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

    /// Waits until it has ended well.
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

    /// Its last lines, on one.
    fn said(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().rev().take(4).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join(" / ")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A folder of this crate, where it was built.
pub(crate) fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
