//! The process of a projection, which tests kill while it is primed. Its program is `tests/projection`.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use messagekit_testkit::crash::Ended;

use crate::{Launch, Program};

/// The limit of each wait for the process, far above what it takes.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running projection. It exits by itself when the test dies.
#[derive(Debug)]
pub struct Projection {
    program: Program,
    ready: mpsc::Receiver<Instant>,
    past: mpsc::Receiver<Instant>,
}

impl Projection {
    /// Starts the program with its name, its database, its log and its topics, and waits until it has the database.
    pub fn start(arguments: &[String]) -> Self {
        let projection = Self::spawn(arguments, None);
        projection.ready.recv_timeout(PATIENCE).expect("the projection opens its database");
        projection
    }

    /// Starts it, and waits until it has aborted at a crash point.
    pub fn crash_at(point: &str, arguments: &[String]) {
        Self::spawn(arguments, Some(point)).program.ends_by(Ended::Aborted);
    }

    fn spawn(arguments: &[String], crash_at: Option<&str>) -> Self {
        let arguments: Vec<&str> = arguments.iter().map(|argument| &**argument).collect();
        let launch = Launch::of("projection").arguments(&arguments).with_input().crash_at(crash_at);
        let ((say_ready, ready), (say_past, past)) = (mpsc::channel(), mpsc::channel());
        let program = launch.start_heard(move |line| {
            let say = if line == "past" { &say_past } else { &say_ready };
            say.send(Instant::now()).ok();
        });
        Self { program, ready, past }
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
        self.program.kill();
    }

    /// Stops it, and expects a clean exit.
    pub fn finish(mut self) {
        self.program.close_input();
        self.program.ends_by(Ended::Exited(Some(0)));
    }
}
