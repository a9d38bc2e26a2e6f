//! RabbitMQ for messagekit: a [`Source`](messagekit::Source) for consumers, a [`Publisher`](messagekit::Publisher), and the
//! [`Topology`] under them.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use messagekit::{Message, Publisher};
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
//! A lane is a queue on one channel. What is handled is acknowledged: one acknowledgement for the settled prefix, single
//! ones above a gap. When the connection or the queue goes away, the lane is lost, what was out comes again, and the
//! subscriber connects again by itself; receipts of the lost lane are counted and never sent.
//!
//! A connection that ended without a word of the broker may have ended over a message. On the next one each queue is read one
//! message at a time, so that only its head counts a delivery, then two, four, … up to the [prefetch](RabbitMq::prefetch). The
//! acknowledgements of such a round are sent together. A queue of which nothing is settled waits from 50 ms up to 5 s before it
//! is read again, and the others go on meanwhile.
//!
//! Of a queue with a [single active consumer](Queue::single_active_consumer) another member goes on from the first message
//! that is not settled: a member that leaves closes its channel and cancels no consumer before, and one that reads further
//! ahead does so only between two rounds.
//!
//! A queue is verified before it is read: it must be a quorum queue with a limit of deliveries and a dead-letter exchange
//! that keeps what dies (`at-least-once`, `reject-publish`). The limit is no limit of attempts: whatever was prefetched and
//! not handled when a process ends counts one delivery, so it stands far above them. [`RabbitMq::allow_lossy_queues`] reads
//! others. The broker tells an argument only by refusing another, and the client logs each refusal as an error: let a program
//! that reads a queue declare or [verify](Topology::verify) it first on the same [`RabbitMq`], and nothing is refused. What a
//! policy sets instead of an argument is not seen.
//!
//! # Messages on the wire
//!
//! | here | on the wire |
//! |---|---|
//! | header `id`, `eventType`, `contentType` | properties `message_id`, `type`, `content_type` |
//! | key | header [`KEY`] |
//! | the other headers that messagekit knows | the same name |
//! | any other header | the name behind [`PREFIX`], so that nobody sets `CC`, `BCC` or `x-death` |
//! | payload | the body, untouched; delivery mode 2 |
//!
//! A reader takes the prefix away, and finds the broker's account of deaths as JSON in the header
//! [`x-death`](messagekit::headers::X_DEATH): a list of objects whose `time` is in seconds. Messages of other publishers are
//! read as they are; names beyond the first 256 are kept together in [`MORE_HEADERS`].
//!
//! Properties with a text that is not UTF-8, or with arrays or tables over 64 deep in each other, would end the connection or
//! the process if the client library read them. They are found before, in the frames of the connection. Consumers set such a
//! message aside as [`Unreadable`](messagekit::FailureKind::Unreadable), with what can be read of it and with the bytes of its
//! properties in the header [`UNREADABLE_PROPERTIES`], and go on behind it. A routing key that is not UTF-8 does no harm.
//!
//! # What it does not do
//!
//! It knows no transactions, no streams and no delayed delivery. The client logs a message that came
//! back unroutable with its payload, at level warn under the target `lapin::returned_messages`: silence that target.

mod error;
mod frames;
mod lane;
mod link;
mod member;
mod names;
mod publisher;
mod rabbitmq;
mod record;
mod source;
mod subscriber;
mod topology;

pub use error::Error;
pub use names::check_queue;
pub use publisher::RabbitMqPublisher;
pub use rabbitmq::RabbitMq;
pub use record::{KEY, MAX_HEADER_BYTES, MORE_HEADERS, PREFIX, UNREADABLE_PROPERTIES};
pub use source::RabbitMqSource;
pub use subscriber::RabbitMqSubscriber;
pub use topology::Topology;
pub use topology::queue::{DELIVERY_LIMIT, Queue};
