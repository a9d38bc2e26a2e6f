//! Proofs for adapters of messagekit: what the traits promise, as tests that any adapter can run.
//!
//! A case is an ordinary async function over a fixture that your adapter supplies; [`transport_cases!`], [`store_cases!`] and
//! [`relay_cases!`] only turn the list of their names into tests:
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
//! - [`transport`] and [`store`]: the suites. A case whose capability an adapter lacks prints that it was skipped, and why.
//! - [`relay`]: the suite of a store whose outbox relays publish.
//! - [`faulty`]: adapters with one named fault each, and the table of the cases that must catch them. It is how the suites
//!   themselves are tested.
//! - [`ledger`]: what was really sent, written by a process other than the one under test, and the verdict.
//! - [`crash`]: child processes that end at a named point or are killed at random.
//! - [`eventually`]: waiting for a condition instead of sleeping.
//! - [`given_up`]: a future that is dropped at one await after the other.
//!
//! It knows no database and no broker: adapters depend on it for their tests, never the other way round.

pub mod crash;
mod eventually;
pub mod faulty;
pub mod fixtures;
mod given_up;
pub mod ledger;
pub mod relay;
mod run;
pub mod store;
pub mod transport;

pub use eventually::{DEADLINE, eventually};
pub use given_up::{Moment, given_up};
pub use run::{Need, unique};

#[doc(hidden)]
pub use run::block_on;
