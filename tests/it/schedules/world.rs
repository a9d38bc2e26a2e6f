//! The file, its processes, and the effects of handlers.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Failure;
use messagekit::{Error, ParkingLimits, Position};
use messagekit_sqlite::{SqliteOptions, SqliteStore, SqliteTx, Synchronous, rusqlite};
use messagekit_testkit::DEADLINE;
use messagekit_tests::schedules::{self, LONG, Record, Reprocess};
use tempfile::TempDir;

use super::mutants::{Mutant, Wrong};
use super::seen::Seen;

pub(super) const CONSUMER: &str = "billing";

pub(super) struct World {
    pub(super) random: fastrand::Rng,
    pub(super) processes: Vec<SqliteStore>,
    /// For actions that no store offers: the end of leases, and the verdict.
    pub(super) raw: rusqlite::Connection,
    pub(super) log: Vec<Vec<Arc<Record>>>,
    pub(super) ranges: Vec<Reprocess>,
    /// The start of the next owner of each partition: after the last settled record, or where an operator set it.
    pub(super) settled: Vec<usize>,
    pub(super) room: ParkingLimits,
    /// Every handler succeeds from now on, and no process crashes.
    pub(super) repaired: bool,
    /// Messages that an operator reopened: they may come after later messages of their key.
    pub(super) undone: HashSet<String>,
    pub(super) seen: Seen,
    wrong: Option<Wrong>,
    flaky: u8,
    deaths: u8,
    folder: TempDir,
}

impl World {
    pub(super) async fn new(seed: u64, mutant: Option<&Mutant>) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let folder = tempfile::tempdir().unwrap();
        let mut processes = Vec::new();
        for _ in 0..2 {
            processes.push(open(&folder).await);
        }
        let raw = rusqlite::Connection::open(folder.path().join("app.db")).unwrap();
        raw.busy_timeout(DEADLINE).unwrap();
        raw.execute_batch(
            "PRAGMA synchronous = OFF; CREATE TABLE effects (message TEXT, generation INTEGER)",
        )
        .unwrap();
        let wrong = mutant.map(|mutant| mutant.wrong);
        if let Some(Wrong::File(trigger)) = wrong {
            raw.execute_batch(&format!("CREATE TRIGGER mutant {trigger}")).unwrap();
        }
        let log = schedules::log(&mut random, 9);
        let room = schedules::limits(&mut random);
        Self {
            processes,
            raw,
            settled: vec![0; log.len()],
            log,
            ranges: Vec::new(),
            room,
            repaired: false,
            undone: HashSet::new(),
            seen: Seen::default(),
            wrong,
            flaky: random.u8(5..40),
            deaths: random.u8(0..4),
            random,
            folder,
        }
    }

    pub(super) fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.random.u8(0..100) < percent
    }

    /// Ends a process with all its state, and starts another one.
    pub(super) async fn replace_process(&mut self, index: usize) {
        self.seen.deaths += 1;
        self.processes[index] = open(&self.folder).await;
    }

    /// Returns whether the process of a role crashes here.
    pub(super) fn dies(&mut self) -> bool {
        let dies = !self.repaired && self.chance(self.deaths);
        self.seen.deaths += u64::from(dies);
        dies
    }

    /// Runs the handler of a record inside a transaction, as the run with this number.
    pub(super) async fn handle(
        &mut self,
        tx: &mut SqliteTx,
        record: &Record,
        generation: i32,
        attempt: u32,
    ) -> Result<Result<(), Failure>, Error> {
        let fails = !self.repaired && record.fails(|| self.chance(self.flaky));
        // Half of the failures come after the effect, which must be rolled back with them.
        if !fails || self.random.bool() {
            let message = record.id().to_string();
            tx.call(move |c| c.execute("INSERT INTO effects VALUES (?1, ?2)", (message, generation)))
                .await
                .map_err(|error| Error::new(messagekit::ErrorKind::Other, "effect").caused_by(error))?;
        }
        if !fails {
            self.seen.handled += 1;
            return Ok(Ok(()));
        }
        let delay = if self.random.bool() { Duration::ZERO } else { LONG };
        Ok(Err(record.failure(attempt, generation, delay)))
    }

    /// Makes leased and scheduled messages due.
    pub(super) fn let_time_pass(&self) {
        self.raw.execute("UPDATE messagekit_failed_messages SET due = 0 WHERE due IS NOT NULL", []).unwrap();
    }

    /// Returns the furthest position that the consumer has ever reached in a partition.
    pub(super) fn committed(&self, partition: usize) -> usize {
        let next = "SELECT coalesce(max(next), 0) FROM messagekit_consumer_offsets WHERE partition = ?1";
        let next: i64 = self.raw.query_row(next, [partition as i64], |row| row.get(0)).unwrap();
        next as usize
    }

    /// Returns the record of a failed message.
    pub(super) fn record(&self, position: &Position) -> Arc<Record> {
        self.log[position.partition as usize][position.offset as usize].clone()
    }
}

async fn open(folder: &TempDir) -> SqliteStore {
    // Only processes crash here, so no write has to reach the disk. No machine is slow enough to exceed this timeout.
    let options = SqliteOptions::default().synchronous(Synchronous::Normal).transaction_timeout(DEADLINE);
    options.busy_timeout(DEADLINE).open(folder.path().join("app.db")).await.unwrap()
}
