//! The consumer that owns a partition, or assumes so.

use std::ops::Range;
use std::sync::Arc;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, Markers, Positions, ReceivedMessage, SetAsideOutcome,
};
use messagekit::{Claim, Error, Store};
use messagekit_tests::schedules::{Record, Reprocess, next_offset, unused};

use super::mutants::Wrong;
use super::world::{CONSUMER, World};

pub(super) struct Owner {
    pub(super) partition: usize,
    pub(super) process: usize,
    pub(super) next: usize,
    /// The ranges to process again, as of its start.
    ranges: Vec<Reprocess>,
    /// The end of the current batch, and the failure of its last message.
    until: usize,
    culprit: Option<Failure>,
    /// The number of batches that it continues for after its replacement; `None` while it is the owner.
    pub(super) late_for: Option<u8>,
}

/// The result of a step.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Worked,
    AtEnd,
    /// The limits leave no space to park the next message.
    Blocked,
    Died,
}

impl Owner {
    pub(super) fn new(world: &mut World, partition: usize) -> Self {
        let next = world.settled[partition];
        let process = world.random.usize(0..world.processes.len());
        let ranges = world.ranges.clone();
        Self { partition, process, next, ranges, until: next, culprit: None, late_for: None }
    }

    /// Runs one transaction.
    pub(super) async fn step(&mut self, world: &mut World) -> Result<Step, Error> {
        let records = world.log[self.partition].clone();
        if self.until <= self.next {
            self.until = records.len().min(self.next + world.random.usize(1..12));
            self.culprit = None;
        }
        if self.next == records.len() {
            return Ok(Step::AtEnd);
        }
        let range = self.next..self.until;
        self.attempt(world, &records[range.clone()], range).await
    }

    async fn attempt(
        &mut self,
        world: &mut World,
        records: &[Arc<Record>],
        range: Range<usize>,
    ) -> Result<Step, Error> {
        let store = world.processes[self.process].clone();
        let culprit = self.culprit.clone().zip(records.last().cloned());
        let handled = &records[..records.len() - usize::from(culprit.is_some())];
        if world.is(Wrong::AdvancesBeforeItsEffects) {
            let mut tx = store.begin().await?;
            store.advance(&mut tx, CONSUMER, &[next_offset(self.partition, range.end)]).await?;
            store.commit(tx).await?;
        }
        let mut tx = store.begin().await?;
        let requests: Vec<ClaimRequest> = handled.iter().map(|record| self.request(world, record)).collect();
        let claims = store.claim(&mut tx, CONSUMER, &requests).await?;
        if world.dies() {
            return Ok(Step::Died);
        }
        // Without a failure so far, the batch may end early, as it does when its time is over.
        let mut through = handled.len();
        if culprit.is_none() && through > 1 && world.chance(10) {
            through = world.random.usize(1..through);
        }
        let mut behind: Vec<(usize, &ReceivedMessage)> = Vec::new();
        for index in 0..through {
            let (record, generation) = (&handled[index], requests[index].generation);
            let runs = match claims[index] {
                Claim::Fresh => true,
                Claim::KeyBlocked if world.is(Wrong::RunsWhatIsBehind) => true,
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
            if world.dies() {
                return Ok(Step::Died);
            }
        }
        if through < handled.len() && !world.is(Wrong::KeepsClaimsThatDidNotRun) {
            let unused = unused(&requests, &claims, through);
            store.unclaim(&mut tx, CONSUMER, &unused).await?;
        }
        if !behind.is_empty() && !world.is(Wrong::DropsWhatIsBehind) {
            let received: Vec<&ReceivedMessage> = behind.iter().map(|(_, received)| *received).collect();
            let fits = store.park_behind(&mut tx, CONSUMER, &received, world.room).await?;
            world.seen.behind += fits as u64;
            if fits < received.len() && !world.is(Wrong::KeepsAsManyAsFit) {
                store.rollback(tx).await?;
                return Ok(self.cut(world, range.start + behind[fits].0));
            }
        }
        if let Some((failure, record)) = &culprit {
            match self.set_apart(world, &store, &mut tx, record, failure).await? {
                SetAsideOutcome::Full => {
                    store.rollback(tx).await?;
                    return Ok(self.cut(world, range.end - 1));
                }
                SetAsideOutcome::SetAside => {
                    world.seen.culprits += 1;
                    world.seen.again += u64::from(failure.generation > 0);
                }
                SetAsideOutcome::AlreadySettled => {}
            }
        }
        if world.dies() {
            return Ok(Step::Died);
        }
        let end = if culprit.is_some() { range.end } else { range.start + through };
        store.advance(&mut tx, CONSUMER, &[next_offset(self.partition, end)]).await?;
        if world.dies() {
            return Ok(Step::Died);
        }
        store.commit(tx).await?;
        (self.next, self.until, self.culprit) = (end, end, None);
        // A broker accepts no acknowledgement from a replaced owner, and may lose any acknowledgement.
        if self.late_for.is_none() && !world.dies() {
            world.settled[self.partition] = end;
        }
        Ok(Step::Worked)
    }

    async fn set_apart(
        &self,
        world: &World,
        store: &messagekit_sqlite::SqliteStore,
        tx: &mut messagekit_sqlite::SqliteTx,
        record: &Record,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let generation = if world.is(Wrong::ForgetsTheGenerationOfCulprits) { 0 } else { failure.generation };
        let failure = &Failure { generation, ..failure.clone() };
        if record.has_key() && !world.is(Wrong::SetsCulpritsAsideAlone) {
            store.park(tx, CONSUMER, &record.received, failure, world.room).await
        } else {
            store.set_aside(tx, CONSUMER, &record.received, failure).await
        }
    }

    /// Ends the batch before a message that the limits do not allow to park.
    fn cut(&mut self, world: &mut World, at: usize) -> Step {
        world.seen.full += 1;
        (self.until, self.culprit) = (at, None);
        if at > self.next {
            return Step::Worked;
        }
        if world.is(Wrong::PassesOverWhatHasNoRoom) {
            self.next += 1;
        }
        Step::Blocked
    }

    fn request(&self, world: &World, record: &Record) -> ClaimRequest {
        let any = world.is(Wrong::ClaimsEverythingUnderTheGeneration);
        let ranges = self.ranges.iter().filter(|range| any || range.contains(self.partition, record));
        let generations = ranges.map(|range| range.generation);
        let asked = record.request(generations.max().unwrap_or(0));
        if world.is(Wrong::ClaimsWithoutLookingAtKeys) { ClaimRequest { key: None, ..asked } } else { asked }
    }
}
