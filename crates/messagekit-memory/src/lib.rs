//! In-memory log, store and gate: for documentation, for tests, and as a sample adapter.
//!
//! They implement the contracts of their traits and pass the conformance suites of `messagekit-testkit`; their state is
//! lost with the process. Time is tokio's, so a paused clock controls it. Tests can inject failures: a lost assignment
//! ([`MemoryLog::lose`]), duplicates ([`MemoryLog::redeliver`]), a commit with a lost response
//! ([`MemoryStore::fail_next`]), an ignored error ([`MemoryTx::poison`]).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! use messagekit_memory::{MemoryLog, MemoryStore};
//! use messagekit::{Message, Store};
//! use messagekit::adapter::Publisher;
//!
//! let log = MemoryLog::new(2);
//! log.publish(&[Message::new("orders.order", "{}").with_key("o-1")]).await;
//! assert_eq!(log.len("orders.order"), 1);
//!
//! let store = MemoryStore::new();
//! let mut tx = store.begin().await?;
//! tx.add("orders", 1);
//! assert_eq!((tx.get("orders"), store.get("orders")), (1, 0));
//! store.commit(tx).await?;
//! assert_eq!(store.get("orders"), 1);
//! # Ok::<(), messagekit::Error>(()) }).unwrap();
//! ```

mod audit;
mod audit_list;
mod blocked_key;
mod bookkeeping;
mod claims;
mod cleanup;
mod clock;
mod database;
mod event_history;
mod failed_messages;
mod failpoint;
mod gate;
mod group;
mod health;
mod inbox;
mod lag;
mod locks;
mod log;
mod marker;
mod operator_actions;
mod outbox;
mod parking;
mod process;
mod reader;
mod record_claims;
mod replay;
mod replays;
mod source;
mod state;
mod status;
mod store;
mod store_log;
mod stored_message;
mod subscriber;
mod tables;
mod tx;
mod unhandled;
mod writes;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use audit::AuditEntry;
pub use failpoint::Failpoint;
pub use gate::TestGate;
pub use log::MemoryLog;
pub use source::MemorySource;
pub use store::MemoryStore;
pub use subscriber::MemorySubscriber;
pub use tx::MemoryTx;

/// Locks despite poisoning: another failed test must not hide the cause of this one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
