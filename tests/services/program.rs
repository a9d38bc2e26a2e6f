//! A program in its own process, which tests watch, freeze, kill and stop.

use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use messagekit_testkit::crash::{self, Ended};
use messagekit_testkit::eventually;
use rustix::process::{Pid, Signal, kill_process};

/// The limit of each wait for a program, far above what it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(300);
/// How many lines of its log a failing test shows.
const SHOWN: usize = 60;
/// What programs print before their address.
const READY: [&str; 2] = ["listening on ", "health and metrics on "];

/// A running program. A drop kills it, and shows the end of its log when the test fails.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    listener: Option<JoinHandle<()>>,
    log: PathBuf,
    /// The lines of its output that the test has not read.
    pub(crate) lines: mpsc::Receiver<String>,
}

impl Program {
    pub(crate) fn spawn(
        name: String,
        command: &mut Command,
        log: PathBuf,
        mut hear: impl FnMut(String) + Send + 'static,
    ) -> Self {
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        let output = BufReader::new(child.stdout.take().expect("it was piped"));
        let listener = std::thread::spawn(move || {
            output.lines().for_each(|line| hear(line.expect("a program prints text")));
        });
        let input = child.stdin.take();
        Self { name, child, input, listener: Some(listener), log, lines: mpsc::channel().1 }
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the number of its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the line that begins so, which must be its next one, and returns the rest.
    ///
    /// # Panics
    /// If another line comes, or none in time.
    pub fn says(&self, beginnings: &[&str]) -> String {
        let line = self.lines.recv_timeout(PATIENCE);
        let line = line.unwrap_or_else(|_| self.fail("does not say that it is ready"));
        let rest = beginnings.iter().find_map(|beginning| line.strip_prefix(beginning));
        rest.unwrap_or_else(|| self.fail(format!("says {line:?}"))).to_owned()
    }

    /// Waits for the line with its address, and returns the address.
    ///
    /// # Panics
    /// If its first line has no address, or does not come in time.
    pub fn address(&self) -> String {
        self.says(&READY)
    }

    /// Returns the lines that it has printed since the last call.
    pub fn printed(&self) -> impl Iterator<Item = String> {
        self.lines.try_iter()
    }

    /// Returns what it has written to stderr, and what earlier programs with its log have written.
    pub fn log(&self) -> String {
        let log = std::fs::read(&self.log).expect("a log can be read");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Returns how it ended, or `None` while it runs.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be asked")
    }

    /// Requires that it has not ended.
    ///
    /// # Panics
    /// If it has.
    pub fn is_alive_still(&mut self) {
        if let Some(status) = self.status() {
            self.fail(format!("ended by itself: {status}"));
        }
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If it has ended and was waited for.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a child gets signals");
    }

    /// Closes its input.
    pub fn close_input(&mut self) {
        self.input.take();
    }

    /// Kills it with SIGKILL, and waits until its last line is heard.
    ///
    /// # Panics
    /// If it has ended by itself.
    pub fn kill(&mut self) {
        self.is_alive_still();
        self.end();
    }

    /// Kills it with SIGKILL if it has not ended, and waits until its last line is heard.
    ///
    /// # Panics
    /// If a line was not understood.
    pub fn end(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("a child can be waited for");
        self.hear_the_rest();
    }

    /// Waits for its end, and kills it when `patience` is over. Blocks the thread.
    ///
    /// # Panics
    /// If a line was not understood.
    pub fn wait(&mut self, patience: Duration) -> Ended {
        let ended = crash::wait(&mut self.child, patience).expect("a child can be waited for");
        self.hear_the_rest();
        ended
    }

    /// Requires that it ends so, in time. Blocks the thread.
    ///
    /// # Panics
    /// If it does not.
    pub fn ends_by(&mut self, expected: Ended) {
        let ended = self.wait(PATIENCE);
        self.compare(ended, expected);
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn ended(&mut self) -> Ended {
        let what = format!("{} ends", self.name);
        eventually(&what, PATIENCE, async || self.status().is_some()).await;
        self.wait(Duration::ZERO)
    }

    /// Waits for its end, which must be this one.
    ///
    /// # Panics
    /// If it does not end in time, or ends in another way.
    pub async fn ends(&mut self, expected: Ended) {
        let ended = self.ended().await;
        self.compare(ended, expected);
    }

    /// Sends SIGTERM, and waits for its clean end.
    ///
    /// # Panics
    /// If it has ended by itself, does not end in time, or ends in another way.
    pub async fn stop(&mut self) {
        self.is_alive_still();
        self.send(Signal::TERM);
        self.ends(Ended::Exited(Some(0))).await;
    }

    /// Waits until it has aborted at its crash point.
    ///
    /// # Panics
    /// If it does not end in time, or ends in another way.
    pub async fn dies(&mut self) {
        self.ends(Ended::Aborted).await;
    }

    fn compare(&self, ended: Ended, expected: Ended) {
        if ended != expected {
            self.fail(format!("ended: {ended:?}, and not {expected:?}"));
        }
    }

    fn hear_the_rest(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.join().expect("every line was understood");
        }
    }

    /// Panics, upon which the drop shows the log.
    fn fail(&self, what: impl Display) -> ! {
        panic!("{} {what}: see {}", self.name, self.log.display())
    }
}

impl Drop for Program {
    #[allow(clippy::print_stdout, reason = "a test that fails shows it")]
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        if std::thread::panicking() {
            let log = std::fs::read(&self.log).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(SHOWN)..];
            println!("-- {}, the last lines of {}\n{}", self.log.display(), lines.len(), shown.join("\n"));
        }
    }
}
