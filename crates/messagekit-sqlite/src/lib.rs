//! messagekit in one SQLite file.
//!
//! The file holds topics, consumers and failed messages beside your own tables, so one commit covers an order, the event
//! about it and the marker that it was handled. Nothing has to be installed.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! use messagekit::Store;
//! use messagekit_sqlite::SqliteStore;
//!
//! let store = SqliteStore::open(folder.path().join("shop.db")).await?;
//! let mut tx = store.begin().await?;
//! tx.call(|c| c.execute_batch("CREATE TABLE orders (id TEXT PRIMARY KEY) STRICT")).await?;
//! tx.call(|c| c.execute("INSERT INTO orders (id) VALUES (?1)", ["o-1"])).await?;
//! store.commit(tx).await?;
//! store.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A topic can leave the file too: name it with [`SqliteOptions::relayed_topics`], and a relay publishes it to Kafka or RabbitMQ.
//!
//! Start with [`SqliteStore`]; handlers get a [`SqliteTx`]. There is one writer per file, so a transaction may hold the
//! write lock for 250 ms; code that blocks its thread cannot be cut off and is rolled back when it returns. A task that
//! holds a transaction cannot write past it: it is told so at once, with
//! [`WouldDeadlock`](messagekit::ErrorKind::WouldDeadlock). Two limits of that: futures joined in one task count as one
//! holder, and a write in a task that a handler spawns and awaits is not seen; the lock bound ends that handler.

mod binding;
mod bookkeeping;
mod cleanup;
mod connection;
mod error;
mod failed_messages;
mod holder;
mod in_flight_attempts;
mod inbox;
mod link;
mod log;
pub mod migrations;
mod name_lock;
mod open;
mod options;
mod outbox;
mod outbox_health;
mod publisher;
mod reader;
mod relay;
mod replays;
mod shared;
mod source;
mod store;
mod subscriber;
mod sync;
mod tables;
mod transaction;
mod writer;

pub use connection::Connection;
pub use error::Error;
pub use options::{SqliteOptions, Synchronous};
pub use publisher::SqlitePublisher;
pub use rusqlite;
pub use source::SqliteSource;
pub use store::SqliteStore;
pub use subscriber::SqliteSubscriber;
pub use transaction::SqliteTx;
