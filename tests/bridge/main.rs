//! The program `messagekit-bridge` between a real Kafka and a real RabbitMQ.
// Clippy sees test code only in functions that are marked as tests; fixtures are test code too.
#![allow(clippy::unwrap_used)]

mod blocked;
mod cloud_events;
mod crash_points;
mod dead_letters;
mod forwarding;
mod full_queue;
mod held_back;
mod kills;
mod mistakes;
mod one_router;
mod rabbit;
mod records;
mod recreated;
mod restarts;
mod silent_broker;
mod stage;
mod wire;

use messagekit_tests::Turns;

/// Some tests stop a broker, or its publishers, for every other test.
static TURNS: Turns = Turns::of(2);
