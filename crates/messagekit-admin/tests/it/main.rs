//! The admin from its callers' view, over stores in memory and in a file.
// Fixtures are test code too, but clippy recognises only functions marked as tests.
#![allow(clippy::unwrap_used)]

mod ask;
mod audit;
mod bulk;
mod consumers;
mod doctor;
mod doors;
mod events;
mod failed_messages;
mod handbook;
mod health;
mod hostile;
mod pages;
mod replay;
mod roles;
mod sockets;
mod status;
mod stock;
mod topics;
mod unprefixed_paths;
