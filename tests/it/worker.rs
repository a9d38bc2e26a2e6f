//! A worker process of the shop: starts it, reads its output, and kills or stops it.

use std::path::Path;
use std::sync::mpsc;
use std::time::Duration;

use messagekit_testkit::crash::Ended;
use messagekit_tests::{Launch, Program};

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

/// A running worker. It exits by itself when the test dies.
pub(crate) struct Worker {
    role: Role,
    program: Program,
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
        let launch = |name: &str| Launch::of("worker").arguments(&[name]).path(file);
        let launch = match role {
            Role::Orders { count, seed } => {
                let [from, count, seed] =
                    [book.next_number().to_string(), count.to_string(), seed.to_string()];
                launch("orders").arguments(&["--from", &from, "--count", &count, "--seed", &seed])
            }
            Role::Billing => launch("billing"),
            Role::DeadlyBilling { order } => launch("billing").arguments(&["--deadly", &order.to_string()]),
            Role::Parking => launch("parking"),
            Role::Calling => launch("calling"),
            Role::Printing => launch("printing"),
            Role::Claiming => launch("claiming"),
            Role::Holding => launch("holding"),
            Role::Migrating => launch("migrating"),
            Role::Piping { hangs: None } => launch("piping"),
            Role::Piping { hangs: Some(number) } => {
                launch("piping").arguments(&["--deadly", &number.to_string()])
            }
            Role::Operator => launch("operator"),
        };
        let (tell, ready) = mpsc::channel();
        let book = book.clone();
        let program = launch.with_input().crash_at(crash_at).start_heard(move |line| match &*line {
            "ready" => tell.send(()).unwrap_or_default(),
            line => book.hear(line),
        });
        Self { role, program, ready }
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
        self.program.status().is_none()
    }

    /// Kills it with SIGKILL. Its earlier output is still read.
    pub(crate) fn kill(&mut self) {
        self.program.end();
    }

    /// Stops it, and expects a clean exit.
    pub(crate) fn finish(mut self) {
        self.program.close_input();
        self.until_done();
    }

    /// Waits for its own clean exit.
    pub(crate) fn until_done(mut self) {
        self.program.ends_by(Ended::Exited(Some(0)));
    }

    /// Waits until it has aborted at its crash point.
    pub(crate) fn until_crashed(mut self) {
        self.program.ends_by(Ended::Aborted);
    }
}
