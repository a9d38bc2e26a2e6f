//! RabbitMQ for messagekit: a [`Source`](messagekit::adapter::Source) for consumers, a [`Publisher`](messagekit::adapter::Publisher), and the
//! [`Topology`] under them.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use messagekit::Message;
//! use messagekit::adapter::Publisher;
//! use messagekit_rabbitmq::{Queue, RabbitMq};
//!
//! let rabbit = RabbitMq::new(&std::env::var("RABBITMQ_URL")?)?.name("shipping");
//! rabbit
//!     .topology()
//!     .exchange("orders")
//!     .queue(Queue::quorum("shipping.orders").dead_letter("", "shipping.orders.dead"))
//!     .queue(Queue::dead_letters("shipping.orders.dead"))
//!     .bind("shipping.orders", "orders", "orders.order.#")
//!     .declare()
//!     .await?;
//!
//! // For a consumer: `Consumer::builder("shipping", store).from(orders)`.
//! let orders = rabbit.queue("shipping.orders");
//!
//! // Without an outbox: at least once, in order per key. The topic is the routing key.
//! let placed = Message::new("orders.order.placed", "{}").with_key("o-1");
//! let published = rabbit.publisher_to("orders").publish(&[placed]).await;
//! # Ok(()) }
//! ```
//!
//! # Reading
//!
//! A lane is a queue on one channel. The subscriber acknowledges handled messages: one acknowledgement for the
//! settled prefix, single ones above a gap. When the connection or the queue is lost, the lane is lost, and its
//! unsettled messages are delivered again. The subscriber reconnects by itself. It counts receipts of the lost lane
//! and never sends them.
//!
//! A message may be the cause of a connection that ended without a reason from the broker. On the next connection,
//! the subscriber reads one message of each queue at a time, so that only the head of the queue counts a delivery. It
//! then reads two, four, … up to the [prefetch](RabbitMq::prefetch), and sends the acknowledgements of such a round
//! together. A queue without a settled message waits from 50 ms up to 5 s before it is read again; the other queues
//! go on meanwhile.
//!
//! On a queue with a [single active consumer](Queue::single_active_consumer), another member continues from the first
//! message that is not settled. A member that leaves closes its channel without cancelling its consumer first. A
//! member that raises its prefetch does so only between two rounds.
//!
//! The subscriber verifies a queue before it reads it: it must be a quorum queue with a delivery limit and a
//! dead-letter exchange that keeps dead letters (`at-least-once`, `reject-publish`). The delivery limit is not a
//! limit of attempts: when a process ends, each message that was prefetched and not handled counts one delivery. So
//! the limit is far above the attempts. [`RabbitMq::allow_lossy_queues`] allows other queues.
//!
//! The broker reveals an argument only by refusing another value, and the client logs each refusal as an error. Let
//! the program declare or [verify](Topology::verify) its queues first on the same [`RabbitMq`]: then nothing is
//! refused. The subscriber does not see arguments that a policy sets.
//!
//! # Messages on the wire
//!
//! | here | on the wire |
//! |---|---|
//! | header `id`, `eventType`, `contentType` | properties `message_id`, `type`, `content_type` |
//! | key | header [`KEY`] |
//! | the other headers that messagekit knows | the same name |
//! | headers `ce_…`, attributes of a CloudEvent | the name after [`ATTRIBUTE`]; `cloudEvents:` is read too |
//! | any other header | the name after [`PREFIX`], so that publishers cannot set `CC`, `BCC` or `x-death` |
//! | payload | the unchanged body; delivery mode 2 |
//!
//! A reader removes the prefix. It stores the broker's death headers as JSON in the header
//! [`x-death`](messagekit::headers::X_DEATH): a list of objects whose `time` is in seconds. It reads messages of
//! other publishers unchanged; [`MORE_HEADERS`] holds the names beyond the first 256.
//!
//! Properties with a text that is not UTF-8, or with arrays or tables nested over 64 deep, would end the connection
//! or the process if the client library read them. The subscriber finds them earlier, in the frames of the
//! connection. Consumers store such a message as [`Unreadable`](messagekit::adapter::FailureKind::Unreadable), with its
//! readable parts and with the bytes of its properties in the header [`UNREADABLE_PROPERTIES`], and continue after
//! it. A routing key that is not UTF-8 does no harm.
//!
//! # What it does not do
//!
//! It supports no transactions, no streams and no delayed delivery. The client logs a message that came back
//! unroutable with its payload, at level warn under the target `lapin::returned_messages`: silence that target.

mod doctor;
mod error;
mod frames;
mod lag;
mod lane;
mod link;
mod member;
mod names;
mod publisher;
mod rabbitmq;
mod record;
#[cfg(feature = "config")]
mod section;
mod source;
mod subscriber;
mod topology;

pub use doctor::RabbitMqDoctor;
/// The error of this crate, as of all crates without errors of a database. The error of the broker or of lapin is its source.
pub use messagekit::Error;
pub use names::check_queue;
pub use publisher::RabbitMqPublisher;
pub use rabbitmq::RabbitMq;
pub use record::{ATTRIBUTE, KEY, MAX_HEADER_BYTES, MORE_HEADERS, PREFIX, UNREADABLE_PROPERTIES};
pub use source::RabbitMqSource;
pub use subscriber::RabbitMqSubscriber;
pub use topology::Topology;
pub use topology::queue::{DELIVERY_LIMIT, Queue};
