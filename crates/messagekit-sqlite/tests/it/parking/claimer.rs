//! Whoever runs letters again.

use std::time::Duration;

use messagekit::{Error, Leased, Retries, Store};

use super::mutants::Wrong;
use super::world::{CONSUMER, LONG, World};

pub(super) struct Claimer {
    pub(super) process: usize,
    leased: Vec<Leased>,
}

impl Claimer {
    pub(super) fn new(process: usize) -> Self {
        Self { process, leased: Vec::new() }
    }

    /// Leases or answers; false when there was nothing to do.
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
            // It answers again, later: too late.
            self.leased.push(leased.clone());
        }
        if !world.repaired && world.chance(10) {
            store.hand_back(CONSUMER, &leased, Duration::ZERO).await?;
            return Ok(true);
        }
        self.run(world, leased).await.map(|()| true)
    }

    async fn run(&mut self, world: &mut World, leased: Leased) -> Result<(), Error> {
        let store = world.processes[self.process].clone();
        let Some(place) = &leased.received.place else { return Ok(()) };
        let record = world.record(place);
        let mut tx = store.begin().await?;
        let id = record.id().to_string();
        let generation = "SELECT generation FROM messagekit_processed_messages WHERE message_id = ?1";
        let generation: i32 = world.raw.query_row(generation, [id], |row| row.get(0)).unwrap_or(0);
        if let Err(failure) = world.handle(&mut tx, &record, generation, leased.attempt).await? {
            store.rollback(tx).await?;
            if !world.dies() {
                store.fail(CONSUMER, &leased, &failure).await?;
            }
            return Ok(());
        }
        if world.dies() {
            return Ok(());
        }
        if !store.resolve(&mut tx, CONSUMER, &leased).await? && !world.is(Wrong::CommitsWithoutTheLease) {
            world.seen.fenced += 1;
            return store.rollback(tx).await;
        }
        if world.dies() {
            return Ok(());
        }
        store.commit(tx).await?;
        world.seen.resolved += 1;
        Ok(())
    }

    /// Dies with what it holds.
    pub(super) fn forget(&mut self) {
        self.leased.clear();
    }
}
