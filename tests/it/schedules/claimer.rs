//! The worker that retries failed messages.

use std::time::Duration;

use messagekit::adapter::{Failure, ReceivedMessage, Retries, RetryLease};
use messagekit::{Error, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_tests::schedules::LONG;

use super::mutants::Wrong;
use super::world::{CONSUMER, World};

pub(super) struct Claimer {
    pub(super) process: usize,
    leased: Vec<RetryLease>,
}

impl Claimer {
    pub(super) fn new(process: usize) -> Self {
        Self { process, leased: Vec::new() }
    }

    /// Leases or settles; returns false without work.
    pub(super) async fn step(&mut self, world: &mut World) -> Result<bool, Error> {
        let store = world.processes[self.process].clone();
        if self.leased.is_empty() {
            let lease = if !world.repaired && world.chance(30) { Duration::ZERO } else { LONG };
            let max = world.random.u32(1..4);
            self.leased = store.lease(CONSUMER, max, lease).await?;
            return Ok(!self.leased.is_empty());
        }
        let index = world.random.usize(0..self.leased.len());
        let leased = self.leased.swap_remove(index);
        if world.dies() {
            self.leased.clear();
            return Ok(true);
        }
        if !world.repaired && world.chance(5) {
            // It settles again later, which is too late.
            self.leased.push(leased.clone());
        }
        if !world.repaired && world.chance(10) {
            store.hand_back(CONSUMER, &leased, Duration::ZERO).await?;
            return Ok(true);
        }
        self.run(world, leased).await.map(|()| true)
    }

    /// Runs a failed message, alone or with the blocked messages behind it. When one fails, the messages before it are
    /// applied without it.
    async fn run(&mut self, world: &mut World, leased: RetryLease) -> Result<(), Error> {
        let store = world.processes[self.process].clone();
        let leads = leased.parked && leased.attempt == 1 && leased.alone == 0;
        let mut most = if leads { world.random.u32(1..6) } else { 1 };
        loop {
            if most > 1 {
                let Some(length) = store.begin_run(CONSUMER, &leased, most, LONG).await? else {
                    return Ok(());
                };
                most = length;
            }
            if world.dies() {
                return Ok(());
            }
            match attempt(world, &store, &leased, most).await? {
                Some(index) => most = index,
                None => return Ok(()),
            }
        }
    }

    /// Crashes with its leases.
    pub(super) fn forget(&mut self) {
        self.leased.clear();
    }
}

/// Runs at most this many messages, and returns which one failed when it is not the first.
async fn attempt(
    world: &mut World,
    store: &SqliteStore,
    leased: &RetryLease,
    most: u32,
) -> Result<Option<u32>, Error> {
    let mut tx = store.begin().await?;
    if let Some(failure) = handle(world, &mut tx, &leased.received, leased.attempt).await? {
        store.rollback(tx).await?;
        if !world.dies() {
            store.fail(CONSUMER, leased, &failure).await?;
        }
        return Ok(None);
    }
    let mut followers = match most {
        0 | 1 => Vec::new(),
        _ => store.followers(&mut tx, CONSUMER, leased.failed_message, most - 1, u64::MAX).await?,
    };
    if world.is(Wrong::RunsOutOfOrder) {
        followers.reverse();
    }
    for (index, follower) in (1..).zip(&followers) {
        if handle(world, &mut tx, &follower.received, follower.attempt).await?.is_some() {
            return store.rollback(tx).await.map(|()| Some(index));
        }
    }
    if world.dies() {
        return Ok(None);
    }
    let behind = if world.is(Wrong::ResolvesTheHeadOfARun) { &[] } else { &followers[..] };
    if !store.resolve(&mut tx, CONSUMER, leased, behind).await? && !world.is(Wrong::CommitsWithoutTheLease) {
        world.seen.fenced += 1;
        return store.rollback(tx).await.map(|()| None);
    }
    if world.dies() {
        return Ok(None);
    }
    store.commit(tx).await?;
    world.seen.resolved += 1;
    world.seen.runs += u64::from(!followers.is_empty());
    Ok(None)
}

async fn handle(
    world: &mut World,
    tx: &mut SqliteTx,
    received: &ReceivedMessage,
    attempt: u32,
) -> Result<Option<Failure>, Error> {
    let Some(position) = &received.position else { return Ok(None) };
    let record = world.record(position);
    let id = record.id().to_string();
    let generation = "SELECT generation FROM messagekit_processed_messages WHERE message_id = ?1";
    let generation: i32 = world.raw.query_row(generation, [id], |row| row.get(0)).unwrap_or(0);
    Ok(world.handle(tx, &record, generation, attempt).await?.err())
}
