//! What every store promises.

pub mod claims;
pub mod desk;
mod fixture;
pub mod leases;
mod list;
pub mod offsets;
pub mod outbox;
pub mod retries;
pub mod set_aside;
pub mod transact;
pub mod transactions;

pub use fixture::{StoreFixture, dead, received, request, retry_in};
pub use list::{StoreCase, all, run};
