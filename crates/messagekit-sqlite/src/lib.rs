//! messagekit in one SQLite file.
//!
//! The file holds topics, consumers and failed messages beside your own tables. One commit therefore covers an order, its
//! event and the marker of the handled message. No installation is needed.
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
//! A topic can also leave the file: name it with [`SqliteOptions::relayed_topics`], and a relay publishes it to Kafka or
//! RabbitMQ.
//!
//! Start with [`SqliteStore`]; handlers get a [`SqliteTx`]. A file has one writer, so a transaction may hold the write
//! lock for 1 s. Code that blocks its thread cannot be interrupted and is rolled back when it returns. A task that
//! holds a transaction cannot write outside it: the write fails at once with
//! [`WouldDeadlock`](messagekit::ErrorKind::WouldDeadlock). This check has two limits. Futures joined in one task count
//! as one holder. A write in a task that a handler spawns and awaits is not detected; the transaction timeout ends that
//! handler.

mod audit;
mod backup;
mod binding;
mod blocking;
mod bookkeeping;
mod claim_holder;
mod cleanup;
mod commit_watch;
mod connect;
mod connection;
mod doctor;
mod error;
mod event_history;
mod failed_messages;
mod file_system;
mod foreign_commits;
mod holder;
mod inbox;
mod log;
mod look;
pub mod migrations;
mod name_lock;
mod open_file;
mod opening;
mod options;
mod outbox;
mod outbox_health;
mod pipeline_store;
mod publisher;
mod reader;
mod record_claims;
mod relay;
mod replays;
mod shared;
mod side_file;
mod source;
mod status;
mod store;
mod subscriber;
mod sync;
mod table_sources;
mod tables;
mod temporary;
mod temporary_folder;
mod topic_migration;
mod topic_store;
mod transact;
mod transaction;
mod waiting;
mod writer;

pub use connection::Connection;
pub use doctor::FileDoctor;
pub use error::Error;
pub use file_system::FileSystem;
pub use options::{SqliteOptions, Synchronous};
pub use publisher::SqlitePublisher;
pub use rusqlite;
pub use source::SqliteSource;
pub use store::SqliteStore;
pub use subscriber::SqliteSubscriber;
pub use transaction::SqliteTx;
