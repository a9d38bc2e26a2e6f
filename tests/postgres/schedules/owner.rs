//! The owner of a partition, or a process that believes to be.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, Markers, Positions, ReceivedMessage, SetAsideOutcome,
};
use messagekit::{Claim, Error, Store};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_tests::schedules::{Record, Reprocess, next_offset, unused};

use super::mutants;
use super::world::World;

/// The number of batches for which an owner continues after it was replaced.
pub(super) type Late = Arc<AtomicU8>;

/// The current owner.
pub(super) const OWNS: u8 = u8::MAX;

pub(super) struct Owner {
    pub(super) partition: usize,
    pub(super) next: usize,
    /// The ranges that it got at its start.
    ranges: Vec<Reprocess>,
    /// The end of the current batch, and the failure of its last message.
    until: usize,
    culprit: Option<Failure>,
    late: Late,
}

/// The outcome of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Worked,
    AtEnd,
    /// The parking limits have no space for the next message.
    Blocked,
    /// It has noticed that another process is the owner.
    Replaced,
}

impl Owner {
    pub(super) fn new(world: &World, partition: usize, late: Late) -> Self {
        let state = world.state();
        let (next, ranges) = (state.settled[partition], state.ranges.clone());
        Self { partition, next, ranges, until: next, culprit: None, late }
    }

    /// Runs one transaction.
    pub(super) async fn step(&mut self, world: &World, store: &PostgresStore) -> Result<Step, Error> {
        match self.late.load(Ordering::Relaxed) {
            OWNS => {}
            0 => return Ok(Step::Replaced),
            left => {
                self.late.store(left - 1, Ordering::Relaxed);
                world.state().seen.late += 1;
            }
        }
        let records = &world.log[self.partition];
        if self.until <= self.next {
            self.until = records.len().min(self.next + world.state().random().usize(1..12));
            self.culprit = None;
        }
        if self.next == records.len() {
            return Ok(Step::AtEnd);
        }
        let range = self.next..self.until;
        self.attempt(world, store, &records[range.clone()], range).await
    }

    async fn attempt(
        &mut self,
        world: &World,
        store: &PostgresStore,
        records: &[Arc<Record>],
        range: Range<usize>,
    ) -> Result<Step, Error> {
        let consumer = &*world.consumer;
        let culprit = self.culprit.clone().zip(records.last().cloned());
        let handled = &records[..records.len() - usize::from(culprit.is_some())];
        if world.is(mutants::Step::AdvancesBeforeItsEffects) {
            let mut tx = store.begin().await?;
            store.advance(&mut tx, consumer, &[next_offset(self.partition, range.end)]).await?;
            store.commit(tx).await?;
        }
        let mut tx = store.begin().await?;
        let requests: Vec<ClaimRequest> = handled.iter().map(|record| self.request(world, record)).collect();
        let claims = store.claim(&mut tx, consumer, &requests).await?;
        // Without a failure the batch may end early, as it does at its time limit.
        let mut through = handled.len();
        if culprit.is_none() && through > 1 && world.chance(10) {
            through = world.state().random().usize(1..through);
        }
        let mut behind: Vec<(usize, &ReceivedMessage)> = Vec::new();
        for index in 0..through {
            let (record, generation) = (&handled[index], requests[index].generation);
            let runs = match claims[index] {
                Claim::Fresh => true,
                Claim::KeyBlocked if world.is(mutants::Step::RunsWhatIsBehind) => true,
                Claim::KeyBlocked => {
                    behind.push((index, &record.received));
                    false
                }
                _ => false,
            };
            if runs && let Err(failure) = world.handle(&mut tx, record, generation, 1).await? {
                store.rollback(tx).await?;
                (self.until, self.culprit) = (range.start + index + 1, Some(failure));
                return Ok(Step::Worked);
            }
        }
        if through < handled.len() && !world.is(mutants::Step::KeepsClaimsThatDidNotRun) {
            let unused = unused(&requests, &claims, through);
            if !unused.is_empty() {
                store.unclaim(&mut tx, consumer, &unused).await?;
            }
        }
        if !behind.is_empty() && !world.is(mutants::Step::DropsWhatIsBehind) {
            let received: Vec<&ReceivedMessage> = behind.iter().map(|(_, received)| *received).collect();
            let fits = store.park_behind(&mut tx, consumer, &received, world.room).await?;
            world.state().seen.behind += fits as u64;
            if fits < received.len() && !world.is(mutants::Step::KeepsAsManyAsFit) {
                store.rollback(tx).await?;
                return Ok(self.cut(world, range.start + behind[fits].0));
            }
        }
        if let Some((failure, record)) = &culprit {
            match set_apart(world, store, &mut tx, record, failure).await? {
                SetAsideOutcome::Full => {
                    store.rollback(tx).await?;
                    return Ok(self.cut(world, range.end - 1));
                }
                SetAsideOutcome::SetAside => {
                    let mut state = world.state();
                    state.seen.culprits += 1;
                    state.seen.again += u64::from(failure.generation > 0);
                }
                SetAsideOutcome::AlreadySettled => {}
            }
        }
        let end = if culprit.is_some() { range.end } else { range.start + through };
        store.advance(&mut tx, consumer, &[next_offset(self.partition, end)]).await?;
        store.commit(tx).await?;
        (self.next, self.until, self.culprit) = (end, end, None);
        // A broker refuses the answer of a replaced owner, and may lose that of any owner.
        if self.late.load(Ordering::Relaxed) == OWNS && !world.mishap(3) {
            world.state().settled[self.partition] = end;
        }
        Ok(Step::Worked)
    }

    /// Ends the batch before a message that exceeds the parking limits.
    fn cut(&mut self, world: &World, at: usize) -> Step {
        world.state().seen.full += 1;
        (self.until, self.culprit) = (at, None);
        if at > self.next {
            return Step::Worked;
        }
        if world.is(mutants::Step::PassesOverWhatHasNoRoom) {
            self.next += 1;
        }
        Step::Blocked
    }

    fn request(&self, world: &World, record: &Record) -> ClaimRequest {
        let any = world.is(mutants::Step::ClaimsEverythingUnderTheGeneration);
        let ranges = self.ranges.iter().filter(|range| any || range.contains(self.partition, record));
        let generations = ranges.map(|range| range.generation);
        record.request(generations.max().unwrap_or(0))
    }
}

async fn set_apart(
    world: &World,
    store: &PostgresStore,
    tx: &mut PgTx,
    record: &Record,
    failure: &Failure,
) -> Result<SetAsideOutcome, Error> {
    if record.has_key() && !world.is(mutants::Step::SetsCulpritsAsideAlone) {
        store.park(tx, &world.consumer, &record.received, failure, world.room).await
    } else {
        store.set_aside(tx, &world.consumer, &record.received, failure).await
    }
}
