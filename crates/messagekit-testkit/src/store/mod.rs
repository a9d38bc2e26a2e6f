//! The promises of a store.

pub mod actions;
pub mod audit;
pub mod bookkeeping;
pub mod claims;
pub mod cleanup;
pub mod event_history;
pub mod failed_message_lists;
pub mod failed_runs;
mod fixture;
pub mod health;
pub mod in_flight_attempts;
pub mod leases;
pub mod list;
pub mod lives;
pub mod offsets;
pub mod outbox;
pub mod parking;
pub mod parking_lives;
pub mod primings;
pub mod replays;
pub mod retries;
pub mod run_now;
pub mod runs;
pub mod selections;
pub mod set_aside;
pub mod status;
pub mod transact;
pub mod transactions;
pub mod undone;
pub mod unhandled;

pub use fixture::{
    Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture, dead, received, request, retry_in,
};
pub(crate) use fixture::{act, begin, only_failed_message, until_through};
pub use list::{StoreCase, all, run};
