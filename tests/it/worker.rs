//! A worker process of the shop: starts it, reads its output, and kills or stops it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use messagekit_testkit::crash::{self, Ended};

use crate::book::Book;

/// The time limit of a request to a process.
const PATIENCE: Duration = Duration::from_secs(300);

/// The role of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Places orders after those that the book knows.
    Orders {
        count: u64,
        seed: u64,
    },
    Billing,
    /// Billing whose handler crashes the process at this order.
    DeadlyBilling {
        order: i64,
    },
    /// Billing that keeps the order of each customer through failures.
    Parking,
    /// Billing that calls a payment service first.
    Calling,
    Printing,
    /// Claims jobs and does them.
    Claiming,
    /// Claims jobs and keeps them.
    Holding,
    /// Migrates the topic of numbers.
    Migrating,
    /// Runs a pipeline; its function hangs at this number.
    Piping {
        hangs: Option<u64>,
    },
    /// Discards dead messages.
    Operator,
}

impl Role {
    /// Returns the orders' service with its orders: at the stated size, or enough to meet each crash point.
    pub(crate) fn orders() -> Self {
        Self::Orders { count: if messagekit_tests::is_full() { 500 } else { 200 }, seed: 5 }
    }
}

/// A running worker. A drop kills it, and it exits by itself when the test dies.
pub(crate) struct Worker {
    role: Role,
    child: Child,
    input: Option<ChildStdin>,
    listener: Option<JoinHandle<()>>,
    ready: mpsc::Receiver<()>,
}

impl Worker {
    pub(crate) fn start(role: Role, file: &Path, book: &Book) -> Self {
        Self::spawn(role, file, book, None)
    }

    /// Starts a worker that aborts at a crash point.
    pub(crate) fn that_crashes(role: Role, file: &Path, book: &Book, at: &str) -> Self {
        Self::spawn(role, file, book, Some(at))
    }

    fn spawn(role: Role, file: &Path, book: &Book, crash_at: Option<&str>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_worker"));
        match role {
            Role::Orders { count, seed } => {
                let from = book.next_number().to_string();
                command.arg("orders").arg(file).args(["--from", &from]);
                command.args(["--count", &count.to_string(), "--seed", &seed.to_string()])
            }
            Role::Billing => command.arg("billing").arg(file),
            Role::DeadlyBilling { order } => {
                command.arg("billing").arg(file).args(["--deadly", &order.to_string()])
            }
            Role::Parking => command.arg("parking").arg(file),
            Role::Calling => command.arg("calling").arg(file),
            Role::Printing => command.arg("printing").arg(file),
            Role::Claiming => command.arg("claiming").arg(file),
            Role::Holding => command.arg("holding").arg(file),
            Role::Migrating => command.arg("migrating").arg(file),
            Role::Piping { hangs: None } => command.arg("piping").arg(file),
            Role::Piping { hangs: Some(number) } => {
                command.arg("piping").arg(file).args(["--deadly", &number.to_string()])
            }
            Role::Operator => command.arg("operator").arg(file),
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).env_remove(crash::VARIABLE);
        command.envs(crash_at.map(|at| (crash::VARIABLE, at)));
        let mut child = command.spawn().expect("the worker starts");
        let (input, output) = (child.stdin.take(), child.stdout.take().expect("it was piped"));
        let (tell, ready) = mpsc::channel();
        let book = book.clone();
        let listener = std::thread::spawn(move || {
            for line in BufReader::new(output).lines() {
                match line.expect("a worker says text").as_str() {
                    "ready" => tell.send(()).unwrap_or_default(),
                    line => book.hear(line),
                }
            }
        });
        Self { role, child, input, listener: Some(listener), ready }
    }

    pub(crate) fn role(&self) -> Role {
        self.role
    }

    /// Waits until it has opened the file.
    pub(crate) fn until_ready(&self) {
        self.ready.recv_timeout(PATIENCE).expect("the worker opens the file");
    }

    /// Returns whether it has not exited.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked").is_none()
    }

    /// Kills it with SIGKILL. Its earlier output is still read.
    pub(crate) fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("a child can be waited for");
        self.hear_the_rest();
    }

    /// Stops it, and expects a clean exit.
    pub(crate) fn finish(mut self) {
        self.input.take();
        self.until_done();
    }

    /// Waits for its own clean exit.
    pub(crate) fn until_done(self) {
        self.ends_by(Ended::Exited(Some(0)));
    }

    /// Waits until it has aborted at its crash point.
    pub(crate) fn until_crashed(self) {
        self.ends_by(Ended::Aborted);
    }

    fn ends_by(mut self, expected: Ended) {
        let ended = crash::wait(&mut self.child, PATIENCE).expect("a child can be waited for");
        self.hear_the_rest();
        assert_eq!(ended, expected, "{:?}", self.role);
    }

    fn hear_the_rest(&mut self) {
        if let Some(listener) = self.listener.take() {
            listener.join().expect("every line was understood");
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
