//! Tests of services, and conformance tests for adapters of messagekit.
//!
//! A service needs one module: [`service`], with scenarios and [`assert_effectively_once!`]. Everything else is for adapters: the
//! promises of the traits, as tests that any adapter can run. A case is an async function over a fixture that your adapter supplies. [`transport_cases!`], [`store_cases!`],
//! [`log_cases!`] and [`relay_cases!`] turn the list of cases into tests:
//!
//! ```
//! use messagekit_testkit::fixtures::{MemoryStoreFixture, MemoryTransport};
//!
//! mod transport {
//!     messagekit_testkit::transport_cases!(super::MemoryTransport::new());
//! }
//! mod store {
//!     messagekit_testkit::store_cases!(super::MemoryStoreFixture::new());
//! }
//! # fn main() {}
//! ```
//!
//! - [`transport`] and [`store`]: the suites. A case prints the reason when the adapter lacks its capability and skips it.
//! - [`log`]: the suite of a database with a log of its own, and of the record claims on it.
//! - [`relay`]: the suite of a store whose outbox is published by relays.
//! - [`upgraded`]: checks of a database that was restored from the dump of an earlier schema.
//! - [`ledger`]: a record of requests, written by a process other than the one under test, and the verdict.
//! - [`crash`]: child processes that abort at a crash point or are killed at random times.
//! - [`eventually`]: waits for a condition instead of sleeping.
//! - [`golden()`]: keeps a payload of each version of an event, and checks that all are read.
//! - [`given_up`]: drops a future at each of its awaits in turn.
//!
//! The crate depends on no database and no broker. Adapters depend on it for their tests.

pub mod crash;
mod eventually;
pub mod fixtures;
mod given_up;
mod golden;
pub mod ledger;
pub mod log;
pub mod relay;
mod run;
pub mod service;
pub mod store;
pub mod transport;
pub mod upgraded;

pub use eventually::{DEADLINE, eventually};
pub use given_up::{Moment, given_up};
pub use golden::golden;
pub use run::{Need, unique};

#[doc(hidden)]
pub use run::block_on;
