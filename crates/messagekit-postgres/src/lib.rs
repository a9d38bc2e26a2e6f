//! PostgreSQL for messagekit.
//!
//! The outbox, the deduplication markers and the failed messages are in a schema of your own database. One commit
//! therefore covers an order, its event and the marker of the handled message.
//!
//! ```no_run
//! use messagekit::{Envelope, Event, HandlerError, Outbox, Store};
//! use messagekit_postgres::{PgTx, PostgresStore};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Event, Serialize, Deserialize)]
//! #[event(type = "orders.order.placed", key = "order_id")]
//! struct OrderPlaced { order_id: String, pence: i64 }
//!
//! # async fn place() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::connect("postgres://shop:secret@localhost/shop").await?;
//! let outbox = Outbox::new(store.clone(), "order-service")?;
//!
//! let mut tx = store.begin().await?;
//! sqlx::query("INSERT INTO orders (id, pence) VALUES ($1, $2)").bind("o-1").bind(250_i64).execute(&mut *tx).await?;
//! outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into(), pence: 250 }).await?;
//! outbox.commit(tx).await?;
//! # Ok(()) }
//!
//! // A handler's rows and the marker of its message share the transaction too.
//! async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
//!     sqlx::query("INSERT INTO bills (order_id, pence) VALUES ($1, $2)")
//!         .bind(&order.data.order_id)
//!         .bind(order.data.pence)
//!         .execute(&mut **tx)
//!         .await?;
//!     Ok(())
//! }
//! ```
//!
//! Start with [`PostgresStore`]; handlers get a [`PgTx`]. `messagekit migrate --database URL` or [`migrations::migrate`]
//! creates the tables; connecting never changes them. The server must be PostgreSQL 15 or later, and the database UTF-8.
//!
//! # What does not compile
//!
//! An event outside the transaction of its rows does not compile. The correct form is:
//!
//! ```
//! # use messagekit::{Error, Event, Outbox};
//! # use messagekit_postgres::{PgTx, PostgresStore};
//! # use serde::{Deserialize, Serialize};
//! # use sqlx::{PgConnection, PgPool};
//! # #[derive(Event, Serialize, Deserialize)]
//! # #[event(type = "orders.order.placed", key = "order_id")]
//! # struct OrderPlaced { order_id: String }
//! async fn place(tx: &mut PgTx, outbox: &Outbox<PostgresStore>) -> Result<(), Error> {
//!     outbox.add(tx, OrderPlaced { order_id: "o-1".into() }).await?;
//!     Ok(())
//! }
//! ```
//!
//! A bare connection commits each statement by itself. (For a known open transaction, see [`AddOn::add_on`].)
//!
//! ```compile_fail,E0308
//! # use messagekit::{Error, Event, Outbox};
//! # use messagekit_postgres::{PgTx, PostgresStore};
//! # use serde::{Deserialize, Serialize};
//! # use sqlx::{PgConnection, PgPool};
//! # #[derive(Event, Serialize, Deserialize)]
//! # #[event(type = "orders.order.placed", key = "order_id")]
//! # struct OrderPlaced { order_id: String }
//! async fn place(connection: &mut PgConnection, outbox: &Outbox<PostgresStore>) -> Result<(), Error> {
//!     outbox.add(connection, OrderPlaced { order_id: "o-1".into() }).await?;
//!     Ok(())
//! }
//! ```
//!
//! A pool may use another connection each time:
//!
//! ```compile_fail,E0308
//! # use messagekit::{Error, Event, Outbox};
//! # use messagekit_postgres::{PgTx, PostgresStore};
//! # use serde::{Deserialize, Serialize};
//! # use sqlx::{PgConnection, PgPool};
//! # #[derive(Event, Serialize, Deserialize)]
//! # #[event(type = "orders.order.placed", key = "order_id")]
//! # struct OrderPlaced { order_id: String }
//! async fn place(pool: &mut PgPool, outbox: &Outbox<PostgresStore>) -> Result<(), Error> {
//!     outbox.add(pool, OrderPlaced { order_id: "o-1".into() }).await?;
//!     Ok(())
//! }
//! ```
//!
//! # What it does not do
//!
//! This crate publishes nothing. A relay reads the outbox from the store, or Debezium reads the write-ahead log;
//! [`publishing_mode`] changes between them. Commits of the store wait for the disk, also where `synchronous_commit` is `off` by
//! default. The promises do not cover events that other programs commit with `off`, nor, with Debezium, events written by
//! `COPY`.

mod address;
mod advisory_lock;
mod audit;
mod bookkeeping;
pub mod cdc;
mod claim_holder;
mod cleanup;
mod commit_hooks;
mod commit_watch;
mod connect;
mod doctor;
mod error;
mod event_history;
mod failed_messages;
mod hasty;
mod health_connection;
mod inbox;
mod log;
mod membership;
pub mod migrations;
mod opening;
mod options;
mod outbox;
mod outbox_health;
mod outbox_measure;
mod outbox_problems;
mod parking_quota;
pub mod partitioning;
mod pipeline_store;
pub mod publishing_mode;
mod quoting;
mod read_only;
mod record_claims;
mod relay;
mod relay_connections;
mod replays;
mod schema;
mod stable_position;
mod status;
mod store;
mod table_sources;
mod tables;
mod topic_drop;
mod topic_migration;
mod topic_sessions;
mod topic_store;
mod topic_turns;
mod transaction;

pub use error::Error;
pub use options::PostgresOptions;
pub use outbox::AddOn;
pub use schema::SchemaName;
pub use sqlx;
pub use store::PostgresStore;
pub use transaction::PgTx;

/// Returns every statement of this crate with its name, for the test of their plans.
#[doc(hidden)]
pub fn statements() -> &'static [(&'static str, &'static str)] {
    tables::statements::STATEMENTS
}

/// Returns the settings of the transaction that counts what an outbox has, for the same test.
#[doc(hidden)]
pub fn count_settings() -> &'static str {
    tables::outbox_counts::SETTINGS
}

/// Returns the settings of a relay's connections, for the same test.
#[doc(hidden)]
pub fn relay_settings() -> &'static str {
    relay_connections::SETTINGS
}
