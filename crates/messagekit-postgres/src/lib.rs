//! PostgreSQL for messagekit.
//!
//! The outbox, the markers that make effects happen once, and the failed messages live in a schema of your own database, so
//! one commit covers an order, the event about it and the mark that a message was handled.
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
//! let outbox = Outbox::new(store.clone(), "order-service");
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
//! Start with [`PostgresStore`]; handlers get a [`PgTx`]. The tables are made by `messagekit migrate --database URL`, or by
//! [`migrations::migrate`]; connecting never changes them. The server must be PostgreSQL 15 or later, and the
//! database UTF-8.
//!
//! # What does not compile
//!
//! An event outside the transaction of its rows. This is how it is written:
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
//! A connection alone commits each statement by itself (where a transaction is known to be open: [`AddOn::add_on`]):
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
//! And a pool may use another connection each time:
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
//! It publishes nothing: a relay reads the outbox from the store, or Debezium from the write-ahead log ([`switch`] changes from
//! one to the other). What the store commits waits for the disk, also where `synchronous_commit` is `off` by default; events of
//! others that are written with `off` keep none of the promises, nor, with Debezium, those that are written by `COPY`.

mod begin;
mod bookkeeping;
pub mod cdc;
mod cleanup;
mod commit;
mod connect;
mod error;
mod failed_messages;
mod inbox;
mod links;
mod membership;
pub mod migrations;
mod options;
mod outbox;
mod outbox_health;
mod parking_quota;
pub mod partitioning;
pub mod publishing_mode;
mod relay;
mod replays;
mod schema;
mod stable_position;
mod store;
mod tables;

pub use error::Error;
pub use options::PostgresOptions;
pub use outbox::AddOn;
pub use schema::SchemaName;
pub use sqlx;
pub use store::{PgTx, PostgresStore};

/// Every statement of this crate with its name: for the test that looks at their plans.
#[doc(hidden)]
pub fn statements() -> &'static [(&'static str, &'static str)] {
    tables::STATEMENTS
}

/// What a relay's connections are set to: for the same test.
#[doc(hidden)]
pub fn relay_settings() -> &'static str {
    links::SETTINGS
}
