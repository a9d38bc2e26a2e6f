//! The properties of librdkafka: the defaults of this crate, and the properties that it refuses.

/// Properties that the guarantees of this crate depend on, and why they cannot be set.
pub(crate) const REFUSED: &[(&str, &str)] = &[
    ("bootstrap.servers", "it is the argument of Kafka::new"),
    ("metadata.broker.list", "it is the argument of Kafka::new"),
    ("group.id", "it is the name of the consumer"),
    ("group.instance.id", "call KafkaSource::instance_id"),
    ("group.protocol", "in the new one a static member that was killed cannot come back at once"),
    ("enable.auto.commit", "only what is handled may be committed"),
    ("auto.commit.enable", "only what is handled may be committed"),
    ("enable.auto.offset.store", "only what is handled may be committed"),
    ("auto.offset.reset", "a lost place must stop the consumer, not move it"),
    ("enable.partition.eof", "the end of a partition is no message"),
    ("isolation.level", "a record of an aborted transaction was never sent"),
    ("acks", "published means that every replica in sync has it"),
    ("request.required.acks", "published means that every replica in sync has it"),
    ("enable.idempotence", "without it a repeated request doubles or reorders records"),
    ("enable.gapless.guarantee", "without it records overtake a refused one of their key"),
    ("max.in.flight", "the order of a key rests on it"),
    ("max.in.flight.requests.per.connection", "the order of a key rests on it"),
    ("partitioner", "a key must stand where Java clients and Debezium put it"),
    ("transactional.id", "the outbox takes the place of transactions"),
    ("message.timeout.ms", "set delivery.timeout.ms"),
    ("batch.num.messages", "a refused request is repeated record by record: set batch.size"),
];

/// The time limit of a publish. librdkafka does not get it: it would drop the first records of a key and send the
/// rest.
pub(crate) const DELIVERY_TIMEOUT: &str = "delivery.timeout.ms";

/// How often a client describes itself: by these statistics a thread detects that its client has lost the brokers.
pub(crate) const STATISTICS: &str = "statistics.interval.ms";

/// The defaults of every client.
pub(crate) const BOTH: &[(&str, &str)] = &[
    ("client.id", "messagekit"),
    // A request that a dead broker does not answer fails sooner than after a minute.
    ("socket.timeout.ms", "10000"),
    ("reconnect.backoff.max.ms", "2000"),
    // Rebootstrapping drops the connection on which the query for the group's coordinator waits, and the client does
    // not repeat the query. A member would stay outside its group after all brokers were down at once.
    ("metadata.recovery.strategy", "none"),
];

/// The defaults of subscribers.
pub(crate) const CONSUMER: &[(&str, &str)] = &[
    // Only partitions that change owners are revoked.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // How long the partitions of a crashed process stay unread. Brokers accept no less by default.
    ("session.timeout.ms", "6000"),
    // How soon a member learns that others joined or left.
    ("heartbeat.interval.ms", "500"),
    (STATISTICS, "5000"),
    // By default a new topic is found only after five minutes.
    ("topic.metadata.refresh.interval.ms", "1000"),
    // Each partition has its own queue, and each may hold this much.
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "1000"),
    // By default a queue this small would stay empty for a second each time after it was full.
    ("fetch.queue.backoff.ms", "50"),
    ("check.crcs", "true"),
];

/// The defaults of subscribers with an instance id: the group waits for a process that returns under its name.
pub(crate) const STATIC_CONSUMER: &[(&str, &str)] = &[("session.timeout.ms", "45000")];

/// The fixed properties of subscribers.
pub(crate) const CONSUMER_FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
];

/// The defaults of the readers of a log. The limits of their queues depend on the number of partitions.
pub(crate) const LOG: &[(&str, &str)] = &[
    (STATISTICS, "5000"),
    ("topic.metadata.refresh.interval.ms", "5000"),
    // By default a queue that was full once would stay empty for a second each time.
    ("fetch.queue.backoff.ms", "10"),
    // A broker that has nothing new in the partitions that are asked for keeps the request for this long, and others wait behind it: a
    // reader in the order of time waited half a second again and again for the one partition that holds most of the records.
    ("fetch.wait.max.ms", "50"),
    ("check.crcs", "true"),
];

/// The properties of a client that reads one record of each partition.
pub(crate) const LAG: &[(&str, &str)] = &[
    ("queued.min.messages", "1"),
    ("queued.max.messages.kbytes", "64"),
    ("fetch.message.max.bytes", "65536"),
    (STATISTICS, "0"),
];

/// The group that readers name to the client library, which assigns no partition without one. They never join it.
pub(crate) const READING_GROUP: &str = "messagekit-log";

/// The fixed properties of the readers of a log.
pub(crate) const LOG_FIXED: &[(&str, &str)] = &[
    ("allow.auto.create.topics", "false"),
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    ("isolation.level", "read_committed"),
];

/// The names of the type of compression.
pub(crate) const COMPRESSION_TYPE: [&str; 2] = ["compression.type", "compression.codec"];

/// The default type.
pub(crate) const ZSTD: &str = "zstd";

/// The level of the default type. Batches of small events in JSON get as small as at librdkafka's default, 3 (7.0 and 6.7 times for 2,000
/// orders), in three quarters of the time and half of the memory.
pub(crate) const ZSTD_LEVEL: &[(&str, &str)] = &[("compression.level", "1")];

/// The defaults of publishers.
pub(crate) const PRODUCER: &[(&str, &str)] = &[
    (COMPRESSION_TYPE[0], ZSTD),
    ("linger.ms", "2"),
    // The largest payload with its key and headers; brokers accept 1,048,588 bytes by default.
    ("message.max.bytes", "1048576"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// The fixed properties of publishers.
pub(crate) const PRODUCER_FIXED: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("partitioner", "murmur2_random"),
    // Later records of a key would pass a record that times out: the publisher measures the time itself.
    ("message.timeout.ms", "0"),
];
