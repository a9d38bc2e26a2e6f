//! Batches from outside: what stands in them, and what every form gives back.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod batches;
mod files;
mod kept;
mod pipes;
mod records;
mod text;
