//! The shop's file, read by plain SQL from outside, and its processes together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use messagekit_sqlite::rusqlite::{Connection, OpenFlags, Row};
use tempfile::TempDir;

use crate::book::Book;
use crate::time::wait_until;
use crate::verdict::{Failed, Statistics};
use crate::worker::{Role, Worker};

/// The time limit for the rest: billing on a slow disk can catch up with the order service in this time.
const REST: Duration = Duration::from_secs(300);

/// A file and its book, without running processes.
pub(crate) struct Shop {
    folder: TempDir,
    pub(crate) book: Book,
}

impl Shop {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().expect("a folder can be made");
        let book = Book::new(folder.path());
        Self { folder, book }
    }

    pub(crate) fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    pub(crate) fn start(&self, role: Role) -> Worker {
        Worker::start(role, &self.file(), &self.book)
    }

    pub(crate) fn that_crashes(&self, role: Role, at: &str) -> Worker {
        Worker::that_crashes(role, &self.file(), &self.book, at)
    }

    /// Lets a worker that bills crash at a point while orders are placed beside it. A worker that is late may settle all of
    /// them at once, so that more are placed until it has met the point.
    pub(crate) fn crash_among_orders(&self, role: Role, at: &str) {
        let mut crashing = self.that_crashes(role, at);
        let begun = Instant::now();
        while crashing.is_alive() && begun.elapsed() < REST {
            self.start(Role::orders()).until_done();
            wait_until("the orders are billed, or it has crashed", REST, || {
                !crashing.is_alive() || self.look().behind("billing", "orders.order") == 0
            });
        }
        crashing.until_crashed();
    }

    /// Opens the file for a check. Each check has its own connection: a lasting one would spare the others the recovery of
    /// the log after a kill.
    pub(crate) fn look(&self) -> View {
        View::open(&self.file())
    }

    /// Expires the leases of killed processes. Call it while no process runs.
    pub(crate) fn end_leases(&self) {
        let conn = Connection::open(self.file()).expect("the file is there");
        conn.busy_timeout(REST).expect("a timeout can be set");
        // Due now, and so after every other due message.
        let now = UNIX_EPOCH.elapsed().expect("it is later").as_micros() as i64;
        let end =
            "UPDATE messagekit_failed_messages SET due = ?1 WHERE running_since IS NOT NULL AND due > ?1";
        conn.execute(end, [now]).expect("leases can be ended");
    }

    /// Runs healthy processes until no work is left, and compares the file with the book. No other process runs.
    pub(crate) fn heal_and_compare(&self) -> Statistics {
        self.healed_by(&[Role::Billing, Role::Printing], Failed::IsDead)
    }

    /// Does the same with billing that parks failures, and an operator that discards dead messages.
    pub(crate) fn heal_and_compare_in_order(&self) -> Statistics {
        self.healed_by(&[Role::Parking, Role::Operator, Role::Printing], Failed::IsDiscarded)
    }

    /// Does the same with billing that calls a payment service.
    pub(crate) fn heal_and_compare_with_calls(&self) -> Statistics {
        self.healed_by(&[Role::Calling, Role::Printing], Failed::IsDead)
    }

    /// Returns how often the payment service was called for each order.
    pub(crate) fn calls(&self) -> BTreeMap<i64, u32> {
        let lines = std::fs::read_to_string(self.file().with_extension("calls")).expect("calls were made");
        let mut calls = BTreeMap::new();
        for line in lines.lines() {
            *calls.entry(line.parse().expect("a line is the number of an order")).or_default() += 1;
        }
        calls
    }

    fn healed_by(&self, roles: &[Role], failed: Failed) -> Statistics {
        self.end_leases();
        let workers: Vec<Worker> = roles.iter().map(|role| self.start(*role)).collect();
        let is_finished = |view: View| view.is_finished() && (failed == Failed::IsDead || view.held() == 0);
        wait_until("everything is billed, printed or given up", REST, || is_finished(self.look()));
        workers.into_iter().for_each(Worker::finish);
        let statistics = crate::verdict::compare(&self.look(), &self.book, failed);
        println!("{statistics:#?}");
        statistics
    }
}

/// A connection for checks of the file.
pub(crate) struct View(Connection);

impl View {
    fn open(file: &Path) -> Self {
        let conn =
            Connection::open_with_flags(file, OpenFlags::SQLITE_OPEN_READ_WRITE).expect("the file is there");
        conn.busy_timeout(REST).expect("a timeout can be set");
        conn.pragma_update(None, "query_only", true).expect("a connection can be told to read only");
        Self(conn)
    }

    pub(crate) fn all<T>(
        &self,
        sql: &str,
        map: impl Fn(&Row<'_>) -> messagekit_sqlite::rusqlite::Result<T>,
    ) -> Vec<T> {
        let mut select = self.0.prepare(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let rows = select.query_map((), map).unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.map(|row| row.unwrap_or_else(|error| panic!("{sql}: {error}"))).collect()
    }

    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.all(sql, |row| row.get(0))[0]
    }

    /// Returns rows by their first column. Rows with the same value are in one list.
    pub(crate) fn by<T>(
        &self,
        sql: &str,
        map: impl Fn(&Row<'_>) -> messagekit_sqlite::rusqlite::Result<(i64, T)>,
    ) -> BTreeMap<i64, Vec<T>> {
        let mut rows: BTreeMap<i64, Vec<T>> = BTreeMap::new();
        for (number, row) in self.all(sql, map) {
            rows.entry(number).or_default().push(row);
        }
        rows
    }

    /// Returns how many records of a topic a consumer has not read yet.
    pub(crate) fn behind(&self, consumer: &str, topic: &str) -> i64 {
        self.number(&format!(
            "SELECT coalesce(sum(p.next_offset - coalesce(c.next, 0)), 0)
             FROM messagekit_topic_partitions p JOIN messagekit_topics t ON t.id = p.topic_id AND t.name = '{topic}'
             LEFT JOIN messagekit_consumer_cursors c ON c.tp_id = p.id
               AND c.consumer_id = (SELECT id FROM messagekit_consumers WHERE name = '{consumer}')"
        ))
    }

    /// Returns the number of tables, the engine's and the shop's.
    pub(crate) fn tables(&self) -> i64 {
        self.number("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    }

    /// Returns the number of failed messages that will still run.
    pub(crate) fn failed_messages_to_run(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM messagekit_failed_messages WHERE state IN ('retry_scheduled', 'retry_requested')",
        )
    }

    /// Returns how many failed messages wait behind an earlier one of their key.
    pub(crate) fn waiting(&self) -> i64 {
        self.number("SELECT count(*) FROM messagekit_failed_messages WHERE state = 'blocked'")
    }

    /// Returns the number of open failed messages.
    pub(crate) fn held(&self) -> i64 {
        self.number(
            "SELECT count(*) FROM messagekit_failed_messages WHERE state NOT IN ('resolved', 'discarded')",
        )
    }

    /// Returns whether the consumers have no work left. Check failed messages first: their events are printed later.
    pub(crate) fn is_finished(&self) -> bool {
        self.behind("billing", "orders.order") == 0
            && self.failed_messages_to_run() == 0
            && self.behind("printing", "billing.bill") == 0
    }
}
