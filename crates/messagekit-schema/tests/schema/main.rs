//! Shapes, compatibility and contracts of event data from their users' view.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod compatibility;
mod contracts;
mod service;
mod shapes;
