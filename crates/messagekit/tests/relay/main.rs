//! The relay's visible behaviour, with an in-memory outbox and a faulty broker.
// Fixtures are test code too, which clippy sees only in functions marked as tests.
#![allow(clippy::unwrap_used)]

mod broker;
mod building;
mod delayed;
mod failover;
mod fixture;
mod gates;
mod late_commits;
mod leases;
mod operators;
mod outages;
mod outbox;
mod pace;
mod pages;
mod publishing;
mod random;
mod rejected;
mod tables;
