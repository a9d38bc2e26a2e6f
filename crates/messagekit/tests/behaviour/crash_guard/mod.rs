//! A message that crashes its process: the first crash leaves an attempt of its batch. Five more identify the message,
//! and no other message is affected.

mod in_flight_attempts;
mod one_at_a_time;
mod others;
mod poison_message;

use std::time::Duration;

use messagekit::MessageId;
use messagekit::adapter::Attempts;

use crate::fixture::{Action, CONSUMER, TOPIC, World};

/// Longer than the test: the process is killed during this run.
const FOR_EVER: Action = Action::Take(Duration::from_secs(100_000));

/// Handler deadline.
const DEADLINE: Duration = Duration::from_secs(600);

/// Returns the id of the attempt for the first messages of a lane.
fn first_of(partition: i32) -> MessageId {
    MessageId::from_stored(&format!("at:{TOPIC}/{partition}/first"))
}

/// Creates a world in which a process crashed in the first batch of each lane.
async fn after_a_death(partitions: i32) -> World {
    let world = World::new(usize::try_from(partitions).expect("some partitions"));
    for partition in 0..partitions {
        world
            .store
            .begin_attempt(CONSUMER, &first_of(partition), "the dead")
            .await
            .expect("the attempt is recorded");
    }
    world
}

/// Returns messages with their own in-flight attempts.
fn message_attempts(world: &World) -> Vec<(MessageId, usize)> {
    world
        .store
        .in_flight_attempts(CONSUMER)
        .into_iter()
        .filter(|(message, _)| !message.is_position())
        .collect()
}

/// Returns lanes with an in-flight attempt for their first messages.
fn lane_attempts(world: &World) -> Vec<(MessageId, usize)> {
    world
        .store
        .in_flight_attempts(CONSUMER)
        .into_iter()
        .filter(|(message, _)| message.is_position())
        .collect()
}
