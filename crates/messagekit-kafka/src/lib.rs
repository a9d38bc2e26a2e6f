//! Kafka for messagekit: a [`Source`](messagekit::Source) for consumers and a [`Publisher`](messagekit::Publisher).
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use messagekit::{Message, Publisher};
//! use messagekit_kafka::Kafka;
//!
//! let kafka = Kafka::new("broker-1:9092,broker-2:9092")
//!     .set("security.protocol", "sasl_ssl")?
//!     .set("sasl.mechanism", "SCRAM-SHA-512")?
//!     .set("sasl.username", "billing")?
//!     .set("sasl.password", std::env::var("KAFKA_PASSWORD")?)?;
//!
//! // For a consumer: `Consumer::builder("billing", store).from(orders)`.
//! let orders = kafka.topics(["orders.order"]).instance_id("billing-0");
//!
//! // Without an outbox: at least once, in order per key.
//! let published = kafka.publisher()?.publish(&[Message::new("orders.order", "{}").with_key("o-1")]).await;
//! # Ok(()) }
//! ```
//!
//! # Reading
//!
//! The consumer's name is the group. A lane is a partition under one assignment. What is handled is committed as the end of
//! the prefix without a gap: as a hint twice per second, for sure when a partition is given up and at the close.
//!
//! A consumer starts at the committed offset. Where the group has none, it starts at the earliest record and commits that
//! place before the first message; but when the consumer's database remembers the partition, the offset was lost, and the
//! subscriber ends with a permanent error ([`WrongState`](messagekit::ErrorKind::WrongState)) that says which offset to
//! commit. It ends likewise when the records at the committed offset were deleted before they were read, or the partition
//! ends before it.
//!
//! Offsets are committed with metadata: the offset itself, a fingerprint of the last record before it, and what the consumer's
//! database remembers of each key lane. Whenever the member gets a partition, it compares. Where the record is another one now,
//! the partition was cut, as by an unclean leader election, or made anew, and the subscriber ends with a permanent error. Where
//! the database remembers less of a key lane, it has lost commits, by a failover or a restore: the records behind its position
//! that are not deleted yet are read again, and the log shows both positions. A database that remembers nothing of the partition
//! changes nothing; if it remembers others of the topic, the log warns. What an operator commits has no such metadata and is
//! obeyed, as is an offset that was copied with the metadata of another one. Nothing else is passed over: a partition waits,
//! alone, until database and leader have answered, and transient errors say for what.
//!
//! A broker that is away, and a topic that is not there yet, are told as transient errors now and then, and waited for. What
//! librdkafka calls fatal, such as a second member of the same instance id, ends the subscriber.
//!
//! A paused lane is not polled: its queue fills to `queued.max.messages.kbytes` and no more is fetched. Besides, at most
//! [`KafkaSubscriber::IN_FLIGHT`] messages, or 8 MiB, are on their way to the consumer. However long handlers take, the group
//! keeps the member. A revoked lane has 30 seconds, or half of `max.poll.interval.ms`, to come to rest; then it is lost.
//!
//! # Records
//!
//! Key, payload and headers are bytes and stay as they are, as Debezium's outbox router writes them. A tombstone has an empty
//! payload; no key is not the empty key. A header with a null value is absent; of several of one name the last counts. Names
//! beyond the first 256 are kept together in the header [`MORE_HEADERS`].
//!
//! A header whose name is not UTF-8 cannot be read: the client library has no way to it, and panics. The panic is caught, so
//! its message appears on stderr. The record is delivered with key, payload, its other headers, and
//! [`UNREADABLE`](messagekit::headers::UNREADABLE), for which consumers set it aside as a failed message of kind
//! `unreadable`. A program built with `panic = "abort"` cannot catch anything: there a source refuses to bind. A panic hook
//! that ends the process has the same effect as the setting and is not noticed: do not install one beside a consumer.
//!
//! # Settings
//!
//! [`Kafka::set`] takes any property of librdkafka. These defaults differ from its own:
//!
//! | property | default here | why |
//! |---|---|---|
//! | `client.id` | `messagekit` | to be found in the broker's logs |
//! | `socket.timeout.ms` | 10000 | a broker that hangs is given up sooner |
//! | `reconnect.backoff.max.ms` | 2000 | a broker that comes back is used soon |
//! | `metadata.recovery.strategy` | none | members return to their group after all brokers were down at once; set `rebootstrap` where brokers come back under other addresses |
//! | `partition.assignment.strategy` | `cooperative-sticky` | only what changes hands has to come to rest |
//! | `session.timeout.ms` | 6000; 45000 with an instance id | the partitions of a killed process are read again when it ends; a slow handler does not count |
//! | `heartbeat.interval.ms` | 500 | members hear sooner that partitions change hands |
//! | `statistics.interval.ms` | 5000 (subscribers) | a client that has lost all brokers for good is seen by them and replaced; 0 turns that off |
//! | `topic.metadata.refresh.interval.ms` | 1000 (subscribers) | a topic made later is found within about a second |
//! | `queued.max.messages.kbytes` | 2048 | each partition has a queue of its own |
//! | `queued.min.messages` | 1000 | the same |
//! | `fetch.queue.backoff.ms` | 50 | so small a queue would stand empty for a second |
//! | `check.crcs` | true | a damaged record must not be handled |
//! | `compression.type` | `zstd` | events are text |
//! | `linger.ms` | 2 | a batch is there at once |
//! | `message.max.bytes` | 1048576 | the largest message, with its key and headers |
//! | `topic.metadata.propagation.max.ms` | 5000 | an absent topic is refused sooner |
//! | `delivery.timeout.ms` | 30000 | bounds a whole publish, not one record |
//!
//! These are fixed, because the promises rest on them, and setting them is refused: `group.id`, `group.instance.id`,
//! `group.protocol` (classic), `enable.auto.commit` (false), `enable.auto.offset.store` (false), `auto.offset.reset`
//! (error), `enable.partition.eof` (false), `isolation.level` (read_committed), `acks` (all), `enable.idempotence` (true),
//! `enable.gapless.guarantee` (true), `max.in.flight`, `partitioner` (murmur2_random, as Java clients and Debezium),
//! `transactional.id`, `message.timeout.ms`, `batch.num.messages` and their aliases.
//!
//! `statistics.interval.ms` and `debug` write to the log under the target `librdkafka`, at level debug.
//!
//! # What it does not do
//!
//! It makes no topics (a broker may, on the first publish) and knows no schema registry and no Kafka transactions. Building
//! it needs a C compiler and the headers of OpenSSL.

mod client;
mod contact;
mod context;
mod error;
mod in_flight;
mod kafka;
mod link;
mod member;
mod memory;
mod properties;
mod publisher;
mod record;
mod retention;
mod source;
mod subscriber;
mod sync;

pub use error::Error;
pub use kafka::Kafka;
pub use publisher::KafkaPublisher;
pub use record::MORE_HEADERS;
pub use source::KafkaSource;
pub use subscriber::KafkaSubscriber;
