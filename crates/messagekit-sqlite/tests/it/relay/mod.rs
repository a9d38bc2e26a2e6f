//! The outbox as relays and their operators use it.

mod delays;
mod health;
mod outbox;
mod topics;
mod unreadable;
