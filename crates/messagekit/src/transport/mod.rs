//! The interface to a broker or log: receiving and publishing messages.

mod capabilities;
mod event_publisher;
mod lag;
mod outage;
mod publish_spans;
mod publisher;
mod receipt;
mod retention;
mod routing_fields;
mod routing_key;
mod source;
mod subscriber;
mod topic_list;
mod watermark;

pub use capabilities::{BatchLimit, Capabilities};
pub use event_publisher::EventPublisher;
pub use lag::{LagProbe, PartitionLag};
pub use outage::Outage;
pub use publish_spans::PublishSpans;
pub use publisher::{PublishError, PublishErrorKind, Published, Publisher};
pub use receipt::{Delivery, Lane, Receipt};
pub use retention::{RetentionProbe, TopicRetention};
pub use routing_key::RoutingKey;
pub use source::{IntoSource, RememberedOffsets, Source};
pub use subscriber::{Done, Incoming, Subscriber};
pub use topic_list::TopicList;
pub use watermark::Watermark;
