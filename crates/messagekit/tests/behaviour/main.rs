//! What a user of the consumer sees: effects, dead letters, deliveries and counts, on the adapters in memory.

mod batches;
mod blame;
mod block;
mod counted;
mod envelope;
mod failures;
mod fixture;
mod flaky;
mod gates;
mod hostile;
mod letters;
mod middleware;
mod names;
mod no_store;
mod once;
mod outages;
mod placeless;
mod play;
mod property;
mod router;
mod script;
mod shutdown;
mod suspects;
mod tolerated;
mod turns;
