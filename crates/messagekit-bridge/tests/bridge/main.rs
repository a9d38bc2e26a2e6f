//! The bridge's visible behaviour, with an in-memory log and a faulty broker.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod broker;
mod building;
mod dead_letters;
mod duplicates;
mod fixture;
mod forwarding;
mod full_queues;
mod gates;
mod handing_over;
mod outages;
mod property;
