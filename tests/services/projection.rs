//! The process of a projection, which tests kill while it is primed. Its program is `tests/projection`.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use messagekit_testkit::crash::{self, Ended};

/// The limit of each wait for the process, far above what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running projection. A drop kills it, and it exits by itself when the test dies.
#[derive(Debug)]
pub struct Projection {
    child: Child,
    input: Option<ChildStdin>,
    ready: mpsc::Receiver<Instant>,
    past: mpsc::Receiver<Instant>,
}

impl Projection {
    /// Starts the program with its name, its database, its log and its topics, and waits until it has the database.
    pub fn start(program: &Path, arguments: &[String]) -> Self {
        let projection = Self::spawn(program, arguments, None);
        projection.ready.recv_timeout(PATIENCE).expect("the projection opens its database");
        projection
    }

    /// Starts it, and waits until it has aborted at a crash point.
    pub fn crash_at(point: &str, program: &Path, arguments: &[String]) {
        Self::spawn(program, arguments, Some(point)).ends_by(Ended::Aborted);
    }

    fn spawn(program: &Path, arguments: &[String], crash_at: Option<&str>) -> Self {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).env_remove(crash::VARIABLE);
        command.envs(crash_at.map(|at| (crash::VARIABLE, at)));
        let mut child = command.spawn().expect("the projection starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it was piped"));
        let ((say_ready, ready), (say_past, past)) = (mpsc::channel(), mpsc::channel());
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let say = if line == "past" { &say_past } else { &say_ready };
                say.send(Instant::now()).ok();
            }
        });
        Self { child, input, ready, past }
    }

    /// Returns when it had handled the last record of the past, as heard here.
    ///
    /// # Panics
    /// If it had not, after a while.
    pub fn past_at(&self) -> Instant {
        self.past.recv_timeout(PATIENCE).expect("the projection handles the past")
    }

    /// Kills it with SIGKILL.
    ///
    /// # Panics
    /// If it has ended by itself.
    pub fn kill(mut self) {
        assert!(self.child.try_wait().expect("a child can be asked").is_none(), "it has ended by itself");
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("a child can be waited for");
    }

    /// Stops it, and expects a clean exit.
    pub fn finish(mut self) {
        self.input.take();
        self.ends_by(Ended::Exited(Some(0)));
    }

    fn ends_by(mut self, expected: Ended) {
        let ended = crash::wait(&mut self.child, PATIENCE).expect("a child can be waited for");
        assert_eq!(ended, expected);
    }
}

impl Drop for Projection {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
