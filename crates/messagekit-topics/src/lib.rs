//! Typed topics in a database: an embedded queue that keeps its schema, refuses what it has seen, and has independent readers.
//!
//! ```
//! use futures_util::TryStreamExt;
//! use messagekit_topics::Topics;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! struct Item { url: String, title: String }
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("rss.db");
//! let topics = Topics::open(path).await?;
//! let items = topics.topic::<Item>("rss.items").dedup(["url"]).open().await?;
//! items.append_if_new(&Item { url: "https://example.org/1".into(), title: "one".into() }).await?;
//! let mut new = items.iter_new();
//! while let Some(record) = new.try_next().await? {
//!     println!("{}: {}", record.id, record.data.title);
//!     items.ack(&record).await?;
//! }
//! assert_eq!(items.count().await?.handled, 1);
//! # drop(new);
//! # topics.close().await?;
//! # Ok::<(), Box<dyn std::error::Error>>(()) })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A topic is of the file, not of the program: its schema is kept in it, and a program with another one is refused, with the
//! fields that differ. Records are read by the consumer `default` unless another one is [named](Topic::named); each consumer has
//! its own view of what is new.

mod append;
mod builder;
mod declared;
mod dropping;
mod ends;
mod error;
mod fields;
mod give_up;
mod guard;
mod iterate;
mod json_text;
mod migrate;
#[cfg(feature = "sqlite")]
mod minikafka;
mod observer;
#[cfg(feature = "operations")]
pub mod operations;
mod pipeline;
mod record;
#[cfg(feature = "sources")]
mod row_expression;
mod rules;
mod schema_check;
mod shared;
mod sorted_hashes;
#[cfg(feature = "sources")]
mod source;
mod status;
mod topic;
mod topics;

pub use builder::TopicBuilder;
pub use ends::TopicEnds;
pub use error::{Duplicate, Error, SchemaMismatch};
pub use guard::Guard;
pub use json_text::parse_json;
pub use messagekit_topic_store::{RecordCounts, RecordStatus, RetentionRule, TopicDefinition};
pub use migrate::Migration;
#[cfg(feature = "sqlite")]
pub use minikafka::{MinikafkaFile, MinikafkaImport};
pub use observer::TopicEvent;
pub use pipeline::{ArmFailure, Pipe, Pipeline, Run, Strategy};
pub use record::Record;
#[cfg(feature = "sources")]
pub use source::SourceBuilder;
pub use status::TopicStatus;
pub use topic::Topic;
pub use topics::Topics;
