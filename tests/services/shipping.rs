//! Workers that ship changed orders, and are killed while others write: one test for each database.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The most records of a claim of a worker.
pub const CLAIM: u32 = 8;
/// How many programs write at the same time.
pub const WRITERS: usize = 24;
const WORKERS: usize = 4;
/// The limit of each wait, far above what it takes.
const DEADLINE: Duration = Duration::from_secs(300);

/// What a worker's database needs before it starts; `orders` is a table that knows nothing of messagekit.
pub const TABLES: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, status text);
    CREATE TABLE deliveries (event_id text);
    CREATE TABLE shipped (event_id text);";

/// How many orders each writer inserts and then updates, one per commit, and how many workers are killed, how often at most.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// The orders of a writer.
    pub orders: i64,
    kills: usize,
    pause: Duration,
}

impl Size {
    /// Returns the stated size with `MESSAGEKIT_FULL=1`, and otherwise a short one.
    pub fn get() -> Self {
        if crate::is_full() {
            Self { orders: 1_000, kills: 30, pause: Duration::from_secs(2) }
        } else {
            Self { orders: 20, kills: 6, pause: Duration::ZERO }
        }
    }

    /// Returns how many events all writers make.
    pub fn events(self) -> i64 {
        2 * self.orders * i64::try_from(WRITERS).expect("24 fits")
    }
}

/// What the tables of a database hold now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ledger {
    /// Rows of `deliveries`.
    pub deliveries: i64,
    /// Rows of `shipped`.
    pub shipped: i64,
    /// Different events among them.
    pub events: i64,
}

/// Returns the three numbers of a [`Ledger`].
pub const LEDGER: &str = "SELECT (SELECT count(*) FROM deliveries), (SELECT count(*) FROM shipped), (SELECT count(DISTINCT event_id) FROM shipped)";

/// Kills workers again and again while `is_writing`, and after it. Then each event was shipped once, and no more were delivered again than
/// the killed workers had claimed.
///
/// # Panics
/// If that does not hold, or takes too long.
pub fn kill_workers(
    program: &Path,
    database: &str,
    size: Size,
    look: impl Fn() -> Ledger,
    is_writing: impl Fn() -> bool,
) {
    let mut workers: Vec<Worker> = (0..WORKERS).map(|_| Worker::start(program, database)).collect();
    let mut seen = 0;
    for kill in 0..size.kills {
        // A worker that is killed before any has done something proves nothing.
        let paused = Instant::now();
        wait("workers go on after a kill", || {
            let shipped = look().shipped;
            paused.elapsed() >= size.pause && (shipped > seen || shipped == size.events())
        });
        seen = look().shipped;
        let mut victim = workers.remove(kill % WORKERS);
        victim.kill();
        workers.push(Worker::start(program, database));
    }
    while is_writing() || look().shipped < size.events() {
        // As much as a machine can do takes its time; no progress at all is a fault.
        let shipped = look().shipped;
        wait("the next event is shipped", || {
            look().shipped > shipped || (!is_writing() && shipped >= size.events())
        });
    }
    drop(workers);
    let Ledger { deliveries, shipped, events } = look();
    assert_eq!((shipped, events), (size.events(), size.events()), "each event has its effect once");
    let again = deliveries - events;
    let most = i64::try_from(size.kills).expect("few") * i64::from(CLAIM);
    assert!(
        (0..=most).contains(&again),
        "{again} redeliveries after {} kills of claims of {CLAIM}",
        size.kills
    );
}

fn wait(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !holds() {
        assert!(Instant::now() < end, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A running worker. A drop kills it.
struct Worker(Child);

impl Worker {
    fn start(program: &Path, database: &str) -> Self {
        let mut command = Command::new(program);
        let mut child = command
            .arg(database)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the worker starts");
        let output = child.stdout.take().expect("it was piped");
        let first = BufReader::new(output).lines().next();
        assert!(
            first.is_some_and(|line| line.is_ok_and(|line| line == "ready")),
            "the worker opens its database"
        );
        Self(child)
    }

    fn kill(&mut self) {
        assert!(self.0.try_wait().expect("a child can be asked").is_none(), "it has ended by itself");
        self.0.kill().expect("it can be killed");
        self.0.wait().expect("a child can be waited for");
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
