//! The properties of librdkafka: what this crate sets, what it leaves to the user and what it refuses.

/// Properties that the promises of this crate rest on, and why they cannot be set.
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

/// The property that bounds a publish; kept from librdkafka, which would drop the first records of a key and send the rest.
pub(crate) const DELIVERY_TIMEOUT: &str = "delivery.timeout.ms";

/// What every client gets unless the user says otherwise.
pub(crate) const BOTH: &[(&str, &str)] = &[
    ("client.id", "messagekit"),
    // A request that a dead broker does not answer is given up sooner than after a minute.
    ("socket.timeout.ms", "10000"),
    ("reconnect.backoff.max.ms", "2000"),
    // Starting over from the first addresses drops the connection on which a question for the group's coordinator waits,
    // and nothing asks again: a member would stay outside its group after all brokers were down at once.
    ("metadata.recovery.strategy", "none"),
];

/// What subscribers get unless the user says otherwise.
pub(crate) const CONSUMER: &[(&str, &str)] = &[
    // Only what changes hands is given up.
    ("partition.assignment.strategy", "cooperative-sticky"),
    // How long the partitions of a process that was killed stand still. Brokers take no less by default.
    ("session.timeout.ms", "6000"),
    // How soon a member hears that others joined or left.
    ("heartbeat.interval.ms", "500"),
    // By these a member sees that its client has lost the brokers.
    ("statistics.interval.ms", "5000"),
    // Five minutes would be the time until a topic made later is found.
    ("topic.metadata.refresh.interval.ms", "1000"),
    // Each partition has a queue of its own, and each may hold this much.
    ("queued.max.messages.kbytes", "2048"),
    ("queued.min.messages", "1000"),
    // A queue this small would otherwise stand empty for a second whenever it was full once.
    ("fetch.queue.backoff.ms", "50"),
    ("check.crcs", "true"),
];

/// What subscribers with an instance id get unless the user says otherwise: a process that comes back under its name is waited for.
pub(crate) const STATIC_CONSUMER: &[(&str, &str)] = &[("session.timeout.ms", "45000")];

/// What no setting changes in subscribers.
pub(crate) const CONSUMER_FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "false"),
    ("isolation.level", "read_committed"),
];

/// What publishers get unless the user says otherwise.
pub(crate) const PRODUCER: &[(&str, &str)] = &[
    ("compression.type", "zstd"),
    ("linger.ms", "2"),
    // The largest payload with its key and headers; brokers take 1,048,588 bytes by default.
    ("message.max.bytes", "1048576"),
    ("topic.metadata.propagation.max.ms", "5000"),
];

/// What no setting changes in publishers.
pub(crate) const PRODUCER_FIXED: &[(&str, &str)] = &[
    ("acks", "all"),
    ("enable.idempotence", "true"),
    ("enable.gapless.guarantee", "true"),
    ("partitioner", "murmur2_random"),
    // A record that ran out of time would be passed by later ones of its key: the publisher keeps the time itself.
    ("message.timeout.ms", "0"),
];
