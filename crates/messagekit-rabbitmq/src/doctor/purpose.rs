//! What a queue is for: messages, dead letters, or both.

use super::broker::{Broker, Found};

/// What a queue is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Messages,
    DeadLetters,
    /// It takes dead letters, and has other bindings or a dead-letter exchange of its own.
    Both,
}

pub(super) fn purpose(broker: &Broker, queue: &Found) -> Purpose {
    if !is_target(broker, &queue.name) {
        return Purpose::Messages;
    }
    let brings_dead_letters = |name: &str| {
        broker.queues.iter().filter_map(Found::dead_letters).any(|(exchange, _)| exchange == name)
    };
    let mut bindings = broker
        .bindings
        .iter()
        .filter(|binding| binding.is_to_queue && binding.queue == queue.name && !binding.exchange.is_empty());
    match queue.dead_letters().is_some() || bindings.any(|binding| !brings_dead_letters(&binding.exchange)) {
        true => Purpose::Both,
        false => Purpose::DeadLetters,
    }
}

/// Returns whether another queue sends its dead letters to this one.
fn is_target(broker: &Broker, name: &str) -> bool {
    broker.queues.iter().filter_map(Found::dead_letters).any(|(exchange, key)| match exchange {
        "" => key == Some(name),
        exchange => broker
            .bindings
            .iter()
            .any(|binding| binding.exchange == exchange && binding.is_to_queue && binding.queue == name),
    })
}
