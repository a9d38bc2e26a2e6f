//! What a projection has taken: the rows of its file, read by plain SQL from outside.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use messagekit_sqlite::rusqlite::{Connection, OpenFlags};
use messagekit_testkit::unique;
use messagekit_tests::{Projection, services};
use tempfile::TempDir;

use super::SOON;
use super::history::History;

/// The file of a projection, and how to start it.
pub(crate) struct Taken {
    folder: TempDir,
    arguments: Vec<String>,
}

impl Taken {
    pub(crate) fn of(topics: &[String]) -> Self {
        let folder = TempDir::new().unwrap();
        let database = format!("sqlite:{}", file(&folder).display());
        let mut arguments = vec![unique("projection"), database, format!("kafka:{}", services::kafka())];
        arguments.extend_from_slice(topics);
        Self { folder, arguments }
    }

    pub(crate) fn start(&self) -> Projection {
        Projection::start(&self.arguments)
    }

    /// Runs it until it has died at a crash point.
    pub(crate) fn crash_at(&self, point: &str) {
        Projection::crash_at(point, &self.arguments);
    }

    /// Returns how many records it has taken: no row is ever deleted.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.number("SELECT coalesce(max(id), 0) FROM projected")).unwrap()
    }

    /// Returns whether it has noted that all of the past is handled.
    pub(crate) fn is_finished(&self) -> bool {
        self.number("SELECT coalesce(sum(is_finished), 0) FROM messagekit_consumer_primings") == 1
    }

    /// Waits for the projection.
    pub(crate) fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        let end = Instant::now() + SOON;
        while !holds() {
            assert!(Instant::now() < end, "not within {SOON:?}: {what}, with {} records", self.count());
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    }

    /// Requires that each record was taken once, those of the past in the order of time, and those of each partition in theirs.
    pub(crate) fn compare(&self, history: &History, past: usize) {
        let (look, all) = (self.look(), history.records.len());
        let mut select = look.prepare("SELECT number FROM projected ORDER BY id").unwrap();
        let rows = select.query_map((), |row| row.get::<_, i64>(0)).unwrap();
        let taken: Vec<usize> = rows.map(|row| usize::try_from(row.unwrap()).unwrap()).collect();
        let mut times = vec![0; all];
        taken.iter().for_each(|number| times[*number] += 1);
        let wrong = |expected: fn(&i32) -> bool| times.iter().filter(|times| expected(times)).count();
        assert_eq!((wrong(|times| *times == 0), wrong(|times| *times > 1)), (0, 0), "lost, and taken twice");
        let markers = "SELECT count(*) FROM messagekit_processed_messages WHERE outcome = 0";
        assert_eq!(self.number(markers), i64::try_from(all).unwrap(), "each record has its marker");
        assert_eq!(self.number("SELECT count(*) FROM messagekit_failed_messages"), 0);

        let of_the_past = taken.iter().filter(|number| **number < past);
        let violations = of_the_past.zip(history.in_order(past)).filter(|(taken, due)| **taken != *due);
        assert_eq!(violations.count(), 0, "places of the past with another record than that of its time");
        let mut reached = BTreeMap::new();
        for number in &taken {
            let written = &history.records[*number];
            let next = reached.entry(written.partition()).or_insert(0);
            assert_eq!(written.offset(), *next, "{:?}", written.partition());
            *next += 1;
        }
        println!(
            "{all} records, {past} of them past, in {} partitions: none lost, none twice, 0 violations",
            reached.len()
        );
    }

    fn number(&self, sql: &str) -> i64 {
        self.look().query_row(sql, (), |row| row.get(0)).unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Each look has its own connection: a lasting one would spare the others the recovery of the log after a kill.
    fn look(&self) -> Connection {
        let look =
            Connection::open_with_flags(file(&self.folder), OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
        look.busy_timeout(SOON).unwrap();
        look.pragma_update(None, "query_only", true).unwrap();
        look
    }
}

fn file(folder: &TempDir) -> PathBuf {
    folder.path().join("projection.db")
}
