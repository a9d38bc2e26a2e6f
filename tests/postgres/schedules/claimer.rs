//! A process that retries failed messages.

use std::time::Duration;

use messagekit::adapter::{Failure, ReceivedMessage, Retries, RetryLease};
use messagekit::{Error, Store};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_tests::schedules::LONG;

use super::mutants;
use super::world::{World, cut};

#[derive(Default)]
pub(super) struct Claimer {
    leased: Vec<RetryLease>,
}

impl Claimer {
    /// Leases or answers, and returns false when there was nothing to do.
    pub(super) async fn step(&mut self, world: &World, store: &PostgresStore) -> Result<bool, Error> {
        if self.leased.is_empty() {
            let lease = if world.mishap(30) { Duration::ZERO } else { LONG };
            let max = world.state().random().u32(1..4);
            self.leased = store.lease(&world.consumer, max, lease).await?;
            return Ok(!self.leased.is_empty());
        }
        let index = world.state().random().usize(0..self.leased.len());
        let leased = self.leased.swap_remove(index);
        if world.mishap(5) {
            // It answers again later: too late.
            self.leased.push(leased.clone());
        }
        if world.mishap(10) {
            store.hand_back(&world.consumer, &leased, Duration::ZERO).await?;
            return Ok(true);
        }
        run(world, store, leased).await.map(|()| true)
    }
}

/// Runs a failed message, alone or with the messages behind it. If one of those fails, the messages before it are applied
/// without it.
async fn run(world: &World, store: &PostgresStore, leased: RetryLease) -> Result<(), Error> {
    let leads = leased.parked && leased.attempt == 1 && leased.alone == 0;
    let mut most = if leads { world.state().random().u32(1..6) } else { 1 };
    loop {
        if most > 1 {
            let begun = store.begin_run(&world.consumer, &leased, most, LONG).await?;
            let Some(length) = begun else { return Ok(()) };
            most = length;
        }
        match attempt(world, store, &leased, most).await? {
            Some(index) => most = index,
            None => return Ok(()),
        }
    }
}

/// Runs up to `most` messages, and returns which one failed when it is not the first.
async fn attempt(
    world: &World,
    store: &PostgresStore,
    leased: &RetryLease,
    most: u32,
) -> Result<Option<u32>, Error> {
    let mut tx = store.begin().await?;
    if let Some(failure) = handle(world, &mut tx, &leased.received, leased.attempt).await? {
        store.rollback(tx).await?;
        return store.fail(&world.consumer, leased, &failure).await.map(|_| None);
    }
    let mut followers = match most {
        0 | 1 => Vec::new(),
        _ => store.followers(&mut tx, &world.consumer, leased.failed_message, most - 1, u64::MAX).await?,
    };
    if world.is(mutants::Step::RunsOutOfOrder) {
        followers.reverse();
    }
    if world.is(mutants::Step::LeavesAFollowerOut) && followers.len() > 1 {
        followers.remove(0);
    }
    for (index, follower) in (1..).zip(&followers) {
        if handle(world, &mut tx, &follower.received, follower.attempt).await?.is_some() {
            return store.rollback(tx).await.map(|()| Some(index));
        }
    }
    if !store.resolve(&mut tx, &world.consumer, leased, &followers).await? {
        world.state().seen.fenced += 1;
        if !world.is(mutants::Step::CommitsWithoutTheLease) {
            return store.rollback(tx).await.map(|()| None);
        }
    }
    store.commit(tx).await?;
    let mut state = world.state();
    state.seen.resolved += 1;
    state.seen.runs += u64::from(!followers.is_empty());
    Ok(None)
}

async fn handle(
    world: &World,
    tx: &mut PgTx,
    received: &ReceivedMessage,
    attempt: u32,
) -> Result<Option<Failure>, Error> {
    let Some(position) = &received.position else { return Ok(None) };
    let record = world.record(position);
    let generation =
        "SELECT generation FROM messagekit.processed_messages WHERE consumer = $1 AND message_id = $2";
    let generation = sqlx::query_scalar(generation).bind(&world.consumer).bind(record.id().as_str());
    let generation: Option<i32> = generation.fetch_optional(&mut **tx).await.map_err(cut)?;
    Ok(world.handle(tx, &record, generation.unwrap_or(0), attempt).await?.err())
}
