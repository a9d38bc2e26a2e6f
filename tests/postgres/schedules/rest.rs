//! Works until nothing changes any more, one step after another.

use std::sync::Arc;
use std::sync::atomic::AtomicU8;

use messagekit::{Error, chain};
use messagekit_postgres::PostgresStore;

use super::claimer::Claimer;
use super::operator;
use super::owner::{OWNS, Owner, Step};
use super::world::World;

pub(super) async fn come_to_rest(world: &World, store: &PostgresStore) -> Result<(), String> {
    // Each round finishes at least one failed message or moves one owner, and there are few of both.
    for _ in 0..500 {
        if !round(world, store).await.map_err(|error| chain(&error))? {
            return Ok(());
        }
    }
    Err("it does not come to rest".to_owned())
}

async fn round(world: &World, store: &PostgresStore) -> Result<bool, Error> {
    world.let_time_pass().await;
    let repaired = world.state().repaired;
    let mut moved = repaired && operator::retry_all(world, store).await?;
    for partition in 0..world.log.len() {
        let mut owner = Owner::new(world, partition, Arc::new(AtomicU8::new(OWNS)));
        let begin = owner.next;
        while owner.step(world, store).await? == Step::Worked {}
        moved |= owner.next > begin;
    }
    let mut claimer = Claimer::default();
    while claimer.step(world, store).await? {
        moved = true;
    }
    Ok(moved)
}
