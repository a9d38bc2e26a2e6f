//! A message that ends its process: the first death leaves a note of its batch, five more name it, and nobody else pays for it.

mod care;
mod culprit;
mod notes;
mod others;

use std::time::Duration;

use messagekit::{InFlightAttempts, MessageId};

use crate::fixture::{Action, CONSUMER, TOPIC, World};

/// Longer than the test looks: whoever runs it is killed meanwhile.
const FOR_EVER: Action = Action::Take(Duration::from_secs(100_000));

/// How long a handler may take.
const DEADLINE: Duration = Duration::from_secs(600);

/// What the first messages of a lane go by.
fn first_of(partition: i32) -> MessageId {
    MessageId::from_stored(&format!("at:{TOPIC}/{partition}/first"))
}

/// A process has died in the first batch of each lane.
async fn after_a_death(partitions: i32) -> World {
    let world = World::new(usize::try_from(partitions).expect("some partitions"));
    for partition in 0..partitions {
        world.store.begin_attempt(CONSUMER, &first_of(partition), "the dead").await.expect("it is noted");
    }
    world
}

/// Messages that are noted by themselves.
fn noted(world: &World) -> Vec<(MessageId, usize)> {
    world
        .store
        .in_flight_attempts(CONSUMER)
        .into_iter()
        .filter(|(suspect, _)| !suspect.is_position())
        .collect()
}

/// Lanes whose first messages are noted.
fn lanes_noted(world: &World) -> Vec<(MessageId, usize)> {
    world
        .store
        .in_flight_attempts(CONSUMER)
        .into_iter()
        .filter(|(suspect, _)| suspect.is_position())
        .collect()
}
