//! The promises of a log in a database, and of the record claims on it.

pub mod claims;
pub mod failed_claims;
mod fixture;
pub mod keyed_claims;
pub mod leases;
mod list;
pub mod ordered;
pub mod reading;
pub mod served_claims;
pub mod storm;

pub use fixture::LogFixture;
pub use list::{LogCase, all, run};
