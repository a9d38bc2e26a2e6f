//! Adapters with one named fault each.
//!
//! A suite that passes every adapter proves nothing. [`TABLE`] names the case that must catch each [`Fault`]. The testkit's
//! own tests run that case against the faulty adapter and require that it fails. Faulty adapters wrap adapters that pass
//! every case: the in-memory ones, and for relays the adapter of any fixture.

mod audit;
mod bookkeeping;
mod claim_notes;
mod claims;
mod cleanup;
mod event_history;
mod failed_message_lists;
mod failed_messages;
mod failed_runs;
mod fixture;
mod in_flight_attempts;
mod inbox;
mod lag;
mod log;
mod parking;
mod primings;
mod publisher;
mod record_claims;
mod relay;
mod replays;
mod rows;
mod run_now;
mod selections;
mod shared;
mod status;
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
