//! Adapters that are wrong on purpose, one named fault each.
//!
//! A suite that passes everything proves nothing. [`TABLE`] names for each [`Fault`] the case that must notice it; the
//! testkit's own tests run exactly that case against the faulty adapter and demand that it fails. They are wrappers over
//! adapters that pass every case: those in memory, and for relays whichever a fixture is for.

mod bookkeeping;
mod claims;
mod cleanup;
mod failed_message_lists;
mod failed_messages;
mod fixture;
mod in_flight_attempts;
mod parking;
mod publisher;
mod relay;
mod replays;
mod rows;
mod store;
mod subscriber;
mod table;
mod transport;

pub use fixture::FaultyStoreFixture;
pub use publisher::FaultyPublisher;
pub use relay::{FaultyOutbox, FaultyRelayFixture};
pub use store::{FaultyStore, FaultyTx};
pub use subscriber::FaultySubscriber;
pub use table::{Fault, Row, Suite, TABLE};
pub use transport::{FaultySource, FaultyTransport};
