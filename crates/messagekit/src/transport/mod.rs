//! The interface to a broker or log: receiving and publishing messages.

mod capabilities;
mod publisher;
mod receipt;
mod retention;
mod source;
mod subscriber;
mod watermark;

pub use capabilities::{BatchLimit, Capabilities};
pub use publisher::{PublishError, PublishErrorKind, Published, Publisher};
pub use receipt::{Delivery, Lane, Receipt};
pub use retention::{RetentionProbe, TopicRetention};
pub use source::{RememberedOffsets, Source};
pub use subscriber::{Done, Incoming, Subscriber};
pub use watermark::Watermark;
