//! Whoever runs letters again.

use std::time::Duration;

use messagekit::{Error, Leased, Retries, Store};
use messagekit_postgres::PostgresStore;

use super::mutants;
use super::world::{LONG, World, cut};

#[derive(Default)]
pub(super) struct Claimer {
    leased: Vec<Leased>,
}

impl Claimer {
    /// Leases or answers; false when there was nothing to do.
    pub(super) async fn step(&mut self, world: &World, store: &PostgresStore) -> Result<bool, Error> {
        if self.leased.is_empty() {
            let lease = if world.mishap(30) { Duration::ZERO } else { LONG };
            let max = world.state().random.u32(1..4);
            self.leased = store.lease(&world.consumer, max, lease).await?;
            return Ok(!self.leased.is_empty());
        }
        let index = world.state().random.usize(0..self.leased.len());
        let leased = self.leased.swap_remove(index);
        if world.mishap(5) {
            // It answers again, later: too late.
            self.leased.push(leased.clone());
        }
        if world.mishap(10) {
            store.hand_back(&world.consumer, &leased, Duration::ZERO).await?;
            return Ok(true);
        }
        run(world, store, leased).await.map(|()| true)
    }
}

async fn run(world: &World, store: &PostgresStore, leased: Leased) -> Result<(), Error> {
    let Some(place) = &leased.received.place else { return Ok(()) };
    let record = world.record(place);
    let mut tx = store.begin().await?;
    let generation =
        "SELECT generation FROM messagekit.processed_messages WHERE consumer = $1 AND message_id = $2";
    let generation = sqlx::query_scalar(generation).bind(&world.consumer).bind(record.id().as_str());
    let generation: Option<i32> = generation.fetch_optional(&mut *tx).await.map_err(cut)?;
    let handled = world.handle(&mut tx, &record, generation.unwrap_or(0), leased.attempt).await?;
    if let Err(failure) = handled {
        store.rollback(tx).await?;
        return store.fail(&world.consumer, &leased, &failure).await.map(drop);
    }
    if !store.resolve(&mut tx, &world.consumer, &leased).await? {
        world.state().seen.fenced += 1;
        if !world.is(mutants::Step::CommitsWithoutTheLease) {
            return store.rollback(tx).await;
        }
    }
    store.commit(tx).await?;
    world.state().seen.resolved += 1;
    Ok(())
}
