//! The outbox as relays and their operators use it.

mod delays;
mod health;
mod lost_slot;
mod membership;
pub(crate) mod outbox;
mod plans;
mod reading;
mod rejected;
mod restore;
mod rights;
mod server;
mod storm;
pub(crate) mod switch;
mod unreadable;
mod waking;
