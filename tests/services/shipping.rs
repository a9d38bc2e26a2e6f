//! Workers that ship changed orders, and are killed while others write: one test for each database.

use std::time::{Duration, Instant};

use crate::{Launch, Program};

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
pub fn kill_workers(database: &str, size: Size, look: impl Fn() -> Ledger, is_writing: impl Fn() -> bool) {
    let mut workers: Vec<Program> = (0..WORKERS).map(|_| start(database)).collect();
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
        workers.push(start(database));
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

fn start(database: &str) -> Program {
    let worker = Launch::of("shipping-worker").arguments(&[database]).with_input().start();
    worker.says(&["ready"]);
    worker
}
