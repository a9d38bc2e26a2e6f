//! Kafka for messagekit: a [`Source`](messagekit::adapter::Source) for consumers, a [`Publisher`](messagekit::adapter::Publisher), and a
//! [`Log`](messagekit::log::Log) that is read at any position.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use messagekit::Message;
//! use messagekit::adapter::Publisher;
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
//! The consumer's name is the group. A lane is a partition under one assignment. The subscriber commits the end of
//! the prefix that is handled without a gap. It sends a hint twice per second, and waits for the broker's answer when
//! a partition is revoked and at the close.
//!
//! A consumer starts at the committed offset. If the group has none, the consumer starts at the earliest record, or at a time
//! ([`KafkaSource::since`]), and commits that position before the first message. If the consumer's database remembers the partition, however, the
//! offset was lost. Then the subscriber ends with a permanent error
//! ([`WrongState`](messagekit::ErrorKind::WrongState)) that names the offset to commit. It also ends when the records
//! at the committed offset were deleted before they were read, or the partition ends before it.
//!
//! Each committed offset has metadata: the offset itself, a fingerprint of the last record before it, the id of the topic, and the
//! positions of each key lane in the consumer's database. A member compares them whenever a partition is assigned to
//! it:
//!
//! - The record differs: the partition was truncated, for example by an unclean leader election, or created anew. The
//!   subscriber ends with a permanent error.
//! - The database has a lower position for a key lane: it has lost commits, by a failover or a restore. The
//!   subscriber reads the records after that position again, as far as they still exist, and logs both positions.
//! - The database remembers nothing of the partition: this changes nothing. If it remembers other partitions of the
//!   topic, the subscriber logs a warning.
//!
//! A topic that is deleted and made again under its name has another id, and the position of a consumer is one of the deleted topic. The
//! subscriber compares the ids while it reads and at each assignment. If it has a position there, it ends with a permanent error before it
//! reads a record of the new topic, or reads that topic from its start, as [`Kafka::on_recreated_topic`] says. Records of the deleted topic that
//! were not delivered are gone. Brokers before 3.1 name no id to a reader; with them, only the comparison of the last record at an
//! assignment remains.
//!
//! An offset that an operator commits has no such metadata, and the subscriber starts there. The same holds for an
//! offset with the metadata of another one. Otherwise a partition waits until the database and its leader have
//! answered, without delaying other partitions. Transient errors say which answer is missing.
//!
//! The subscriber reports an unreachable broker or a missing topic as a transient error from time to time, and waits
//! for it. A member whose instance id is fenced joins again, since a freeze in the middle of a rebalance can cause it too. When it
//! happens again within a minute, the subscriber ends, as if another process had the id. Any other fatal error of librdkafka ends
//! it at once.
//!
//! The subscriber does not poll a paused lane: its queue fills to `queued.max.messages.kbytes`, and librdkafka stops
//! fetching. In addition, at most [`KafkaSubscriber::IN_FLIGHT`] messages, or 8 MiB, are in flight to the consumer. A
//! slow handler affects neither the session nor the membership. A revoked lane has 30 seconds, or half of
//! `max.poll.interval.ms`, to finish its work; then it is lost.
//!
//! # Reading as a log
//!
//! [`Kafka::log`] reads chosen partitions from chosen offsets or times on. It joins no group, commits nothing and creates no topic. Its end
//! is that of the committed records, and a reader reaches it also behind the markers of transactions and behind compacted records. What
//! retention removed is a page of its own, and reading goes on behind it; a partition that ends before what was read of it, as after an
//! unclean election, is a permanent error, and so is a topic that is deleted and made again while it is read. A paused partition keeps what was fetched ahead. A broker that is away is a transient error, and
//! reading goes on when it is back.
//!
//! # Records
//!
//! Key, payload and headers are bytes and stay unchanged, as Debezium's outbox router writes them. A tombstone has an
//! empty payload, and a consumer sees it by the header [`TOMBSTONE`](messagekit::headers::TOMBSTONE); a missing key differs from an
//! empty key. A header with a null value is absent; of several headers with one name the last counts, and the header
//! [`REPEATED_HEADERS`] holds the others. The header [`MORE_HEADERS`] holds the names beyond the first 256.
//!
//! The client library panics over a header whose name is not UTF-8 and offers no other access to it. This crate
//! catches the panic, but its message appears on stderr. The record is delivered with its key, its payload, its other
//! headers and [`UNREADABLE`](messagekit::headers::UNREADABLE). Because of that header, consumers store it as a
//! failed message of kind `unreadable`. A program built with `panic = "abort"` cannot catch a panic: its sources
//! refuse to bind. A panic hook that ends the process has the same effect, and this crate cannot detect it: do not
//! install one beside a consumer.
//!
//! # Settings
//!
//! [`Kafka::set`] takes any property of librdkafka. These defaults differ from its own:
//!
//! | property | default here | why |
//! |---|---|---|
//! | `client.id` | `messagekit` | operators find it in the broker's logs |
//! | `socket.timeout.ms` | 10000 | a request to a hung broker fails sooner |
//! | `reconnect.backoff.max.ms` | 2000 | a client reconnects soon to a broker that returns |
//! | `metadata.recovery.strategy` | none | members rejoin after an outage of all brokers; set `rebootstrap` if addresses change |
//! | `partition.assignment.strategy` | `cooperative-sticky` | only partitions that change owners are revoked |
//! | `session.timeout.ms` | 6000; 45000 with an instance id | delay until others read a crashed process's partitions |
//! | `heartbeat.interval.ms` | 500 | members learn of a rebalance sooner |
//! | `statistics.interval.ms` | 5000 (subscribers, readers of a log) | they reveal a client without brokers, which is then replaced; 0: never |
//! | `topic.metadata.refresh.interval.ms` | 1000 (subscribers), 5000 (readers of a log) | a new topic is found within about a second |
//! | `queued.max.messages.kbytes` | 2048; readers of a log: their part of 64 MiB | each partition has a queue of its own |
//! | `queued.min.messages` | 1000; readers of a log: one per 256 bytes | the same |
//! | `fetch.message.max.bytes` | readers of a log: a quarter of their part, 1 MiB at most | a queue may exceed its limit by one fetch |
//! | `fetch.queue.backoff.ms` | 50; readers of a log: 10 | with librdkafka's default, so small a queue would stay empty for a second |
//! | `fetch.wait.max.ms` | readers of a log: 50 | a request that finds nothing holds up those behind it, for half a second with librdkafka's default |
//! | `check.crcs` | true | a damaged record must not be handled |
//! | `compression.type` | `zstd` | events are text |
//! | `compression.level` | 1 with zstd | batches of small events get as small as at librdkafka's default, in less time and memory |
//! | `linger.ms` | 2 | a batch arrives at once |
//! | `message.max.bytes` | 1048576 | the largest message, with its key and headers |
//! | `topic.metadata.propagation.max.ms` | 5000 | a publish to a missing topic fails sooner |
//! | `delivery.timeout.ms` | 30000 | bounds a whole publish, not one record |
//!
//! These properties are fixed, because the guarantees depend on them; setting one is an error: `group.id`,
//! `group.instance.id`, `group.protocol` (classic), `enable.auto.commit` (false), `enable.auto.offset.store` (false),
//! `auto.offset.reset` (error), `enable.partition.eof` (false; true for a log), `isolation.level` (read_committed), `acks` (all),
//! `enable.idempotence` (true), `enable.gapless.guarantee` (true), `max.in.flight`, `partitioner` (murmur2_random, as
//! Java clients and Debezium), `transactional.id`, `message.timeout.ms`, `batch.num.messages` and their aliases.
//!
//! A publisher departs from this for a message that its topic may refuse for its size: it goes alone, without
//! `enable.idempotence` and without a repetition by the client, so it neither passes another nor comes twice.
//!
//! `statistics.interval.ms` and `debug` write to the log under the target `librdkafka`, at level debug.
//!
//! # What it does not do
//!
//! It creates no topics (a broker may, on the first publish) and supports no schema registry and no Kafka
//! transactions. Building it needs a C compiler and the headers of OpenSSL.

mod background;
mod client;
mod contact;
mod context;
mod doctor;
mod error;
mod first_record;
mod in_flight;
mod kafka;
mod lag;
mod link;
mod log;
mod member;
mod memory;
mod notices;
mod offsets;
mod on_recreated_topic;
mod partition_queues;
mod properties;
mod publisher;
mod record;
mod retention;
#[cfg(feature = "config")]
mod section;
mod source;
mod subscriber;
mod sync;
mod topic_ids;
mod topic_list;
mod topic_settings;

pub use doctor::KafkaDoctor;
pub use kafka::Kafka;
pub use log::KafkaLog;
/// The error of this crate, as of all crates without errors of a database. The error of librdkafka is its source.
pub use messagekit::Error;
pub use on_recreated_topic::OnRecreatedTopic;
pub use publisher::KafkaPublisher;
pub use record::{MORE_HEADERS, REPEATED_HEADERS};
pub use source::KafkaSource;
pub use subscriber::KafkaSubscriber;
