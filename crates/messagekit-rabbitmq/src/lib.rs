//! RabbitMQ for messagekit: a [`Source`](messagekit::Source) for consumers, a [`Publisher`](messagekit::Publisher) and the
//! [`Topology`] under them.

mod error;
mod lane;
mod link;
mod member;
mod publisher;
mod rabbitmq;
mod record;
mod source;
mod subscriber;
mod topology;

pub use error::Error;
pub use publisher::RabbitMqPublisher;
pub use rabbitmq::RabbitMq;
pub use record::{KEY, MAX_HEADER_BYTES, MORE_HEADERS, PREFIX};
pub use source::RabbitMqSource;
pub use subscriber::RabbitMqSubscriber;
pub use topology::Topology;
pub use topology::queue::{DELIVERY_LIMIT, Queue};
