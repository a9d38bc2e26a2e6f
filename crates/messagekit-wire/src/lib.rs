//! Requests and answers about topics: the JSON of the routes `/v1/api/topics/…`, and the types that `TopicOperations` of `messagekit-topics`
//! takes.
//!
//! Each type stands here once, for servers and clients. A request with a field that is not known is refused; an answer may have more
//! fields than a client knows.
//!
//! ```
//! use messagekit_wire::{Consume, Start};
//!
//! let request = Consume { start: Some(Start::Offset(7)), limit: Some(10), ..Consume::of("shop.orders") };
//! let text = serde_json::to_string(&request)?;
//! assert_eq!(text, r#"{"topic_id":"shop.orders","start":{"Offset":7},"limit":10}"#);
//! # Ok::<(), serde_json::Error>(())
//! ```

mod append;
mod base64_bytes;
mod consume;
mod failure;
mod latest_offsets;
mod message;
mod settle;
mod start;

pub use append::{Append, Appended, AppendedRecord};
pub use consume::{Consume, ConsumeAnswer, Deleted};
pub use failure::Failure;
pub use latest_offsets::{LatestOffset, LatestOffsets, Offsets, PartitionOf};
pub use message::TopicMessage;
pub use settle::{Acknowledge, Acknowledged, Done, Extend, Extended, GiveBack};
pub use start::{OnDeleted, Start};
