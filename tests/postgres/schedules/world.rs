//! The effects of handlers, and the shared state.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use messagekit::adapter::Failure;
use messagekit::{Error, ErrorKind, ParkingLimits, Position};
use messagekit_postgres::PgTx;
use messagekit_testkit::unique;
use messagekit_tests::schedules::{self, LONG, Record, Reprocess};
use sqlx::PgPool;

use super::mutants::{Mutant, Step, Wrong};
use super::seen::Seen;

tokio::task_local! {
    /// The role whose task this is.
    pub(super) static ROLE: u64;
}

/// The state that changes during a schedule.
pub(super) struct State {
    seed: u64,
    /// Of each role, as two may go on at the same time, and of the schedule itself, which is no role.
    randoms: HashMap<u64, fastrand::Rng>,
    /// The start of the next owner of each partition: after the last settled offset, or where an operator has put it.
    pub(super) settled: Vec<usize>,
    pub(super) ranges: Vec<Reprocess>,
    /// Every handler succeeds from now on.
    pub(super) repaired: bool,
    /// Messages that an operator may have undone: they may come after later messages of their key.
    pub(super) undone: HashSet<String>,
    pub(super) seen: Seen,
}

impl State {
    /// Returns the numbers of the role that asks.
    pub(super) fn random(&mut self) -> &mut fastrand::Rng {
        let role = ROLE.try_with(|role| *role).unwrap_or(0);
        let seed = self.seed;
        self.randoms.entry(role).or_insert_with(|| fastrand::Rng::with_seed(seed + (role << 32)))
    }

    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.random().u8(0..100) < percent
    }
}

pub(super) struct World {
    /// The consumer of this schedule; all schedules share the database.
    pub(super) consumer: String,
    pub(super) log: Vec<Vec<Arc<Record>>>,
    pub(super) room: ParkingLimits,
    /// A pool for operations that no store offers: expiry of leases, and the verdict. Nothing waits on it.
    pub(super) direct: PgPool,
    pub(super) mutant: Option<&'static Mutant>,
    flaky: u8,
    state: Mutex<State>,
}

impl World {
    pub(super) fn new(seed: u64, mutant: Option<&'static Mutant>, direct: PgPool) -> Self {
        let mut random = fastrand::Rng::with_seed(seed);
        let log = schedules::log(&mut random, 5);
        let room = schedules::limits(&mut random);
        let flaky = random.u8(5..40);
        let state = State {
            settled: vec![0; log.len()],
            ranges: Vec::new(),
            repaired: false,
            undone: HashSet::new(),
            seen: Seen::default(),
            seed,
            randoms: HashMap::from([(0, random)]),
        };
        Self { consumer: unique("billing"), log, room, direct, mutant, flaky, state: Mutex::new(state) }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn is(&self, step: Step) -> bool {
        matches!(self.mutant, Some(Mutant { wrong: Wrong::Step(wrong), .. }) if *wrong == step)
    }

    pub(super) fn chance(&self, percent: u8) -> bool {
        self.state().chance(percent)
    }

    /// Returns whether an error happens, of a kind that stops when everything is repaired.
    pub(super) fn mishap(&self, percent: u8) -> bool {
        let mut state = self.state();
        !state.repaired && state.chance(percent)
    }

    /// Runs the handler of a record inside a transaction, with this run number.
    pub(super) async fn handle(
        &self,
        tx: &mut PgTx,
        record: &Record,
        generation: i32,
        attempt: u32,
    ) -> Result<Result<(), Failure>, Error> {
        let (fails, has_effect, delay) = {
            let mut state = self.state();
            let fails = !state.repaired && record.fails(|| state.chance(self.flaky));
            // Half of the failures come after the effect, which must be rolled back with them.
            let has_effect = !fails || state.random().bool();
            (fails, has_effect, if state.random().bool() { Duration::ZERO } else { LONG })
        };
        if has_effect {
            let effect = "INSERT INTO effects (consumer, message, generation) VALUES ($1, $2, $3)";
            let effect = sqlx::query(effect).bind(&self.consumer).bind(record.id().as_str()).bind(generation);
            effect.execute(&mut **tx).await.map_err(cut)?;
        }
        if !fails {
            self.state().seen.handled += 1;
            return Ok(Ok(()));
        }
        Ok(Err(record.failure(attempt, generation, delay)))
    }

    /// Expires leases and delays. Rows that another session has locked are skipped.
    pub(super) async fn let_time_pass(&self) {
        let end = "UPDATE messagekit.failed_messages SET due = now() - interval '1 s' WHERE id = ANY (ARRAY (
            SELECT id FROM messagekit.failed_messages WHERE consumer = $1 AND due IS NOT NULL FOR UPDATE SKIP LOCKED))";
        sqlx::query(end).bind(&self.consumer).execute(&self.direct).await.unwrap();
    }

    /// Returns the highest committed offset of the consumer in a partition.
    pub(super) async fn committed(&self, partition: usize) -> usize {
        let next = "SELECT coalesce(max(next), 0) FROM messagekit.consumer_offsets WHERE consumer = $1 AND partition = $2";
        let next = sqlx::query_scalar(next).bind(&self.consumer).bind(partition as i32);
        let next: i64 = next.fetch_one(&self.direct).await.unwrap();
        next as usize
    }

    /// Returns the record of a failed message.
    pub(super) fn record(&self, position: &Position) -> Arc<Record> {
        self.log[position.partition as usize][position.offset as usize].clone()
    }
}

/// Maps an error of an ended session, which is expected.
pub(super) fn cut(error: sqlx::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "session lost").caused_by(error)
}
