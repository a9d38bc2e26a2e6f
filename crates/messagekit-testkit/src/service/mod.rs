//! What a service tests its handlers with, on any store: a file, memory, PostgreSQL.
//!
//! - [`Scenario`]: delivers events to a consumer of yours, and compares what it emitted: given, when, then.
//! - [`emitted`]: the events of a type in an outbox, decoded.
//! - [`assert_effectively_once!`](crate::assert_effectively_once): looks for the faults that show only in a crash, a duplicate, another order or a
//!   rival transaction.
//!
//! The page `docs/testing.md` walks through all of it, with the parts of other crates that tests use: `SqliteStore::temporary`,
//! [`Consumer::deliver`](messagekit::Consumer::deliver), [`Consumer::run_until_idle`](messagekit::Consumer::run_until_idle),
//! [`HandlerError::kind`](messagekit::HandlerError::kind), [`Envelope::with_attempt`](messagekit::Envelope::with_attempt).
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
//! use std::sync::Arc;
//! use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox};
//! use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
//! use messagekit_testkit::service::Scenario;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "orders.order.placed", key = "order_id")]
//! struct OrderPlaced { order_id: String, pence: i64 }
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "billing.bill.issued", key = "order_id")]
//! struct BillIssued { order_id: String, pence: i64 }
//!
//! type Bills = Outbox<MemoryStore>;
//!
//! async fn bill(outbox: &Bills, tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
//!     let OrderPlaced { order_id, pence } = order.data;
//!     outbox.add(tx, BillIssued { order_id, pence }).await?;
//!     Ok(())
//! }
//!
//! let store = MemoryStore::new();
//! let outbox = Arc::new(Outbox::new(store.clone(), "billing")?);
//! let billing = Consumer::builder("billing", store).from(MemoryLog::new(1)).on_with(outbox, bill).build()?;
//! Scenario::of(&billing)
//!     .when(OrderPlaced { order_id: "o-1".into(), pence: 995 })
//!     .then_emitted([BillIssued { order_id: "o-1".into(), pence: 995 }])
//!     .await;
//! # Ok::<(), messagekit::Error>(()) }).unwrap();
//! ```

mod effectively_once;
mod emitted;
mod scenario;

#[doc(hidden)]
pub use effectively_once::router_of;
pub use effectively_once::{Checked, Counterexample, effectively_once};
pub use emitted::{emitted, message};
pub use scenario::{Scenario, When};
