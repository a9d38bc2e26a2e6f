"""Brokers of Kafka inside of a producer: those that librdkafka has for tests."""

from __future__ import annotations

from confluent_kafka import Producer

PARTITIONS = 4
BEGIN = 1_700_000_000_000


class Brokers:
    def __init__(self) -> None:
        # The property that a client has to have is replaced by the address of the brokers inside.
        self.producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "inside:1", "log_level": 3})
        known = self.producer.list_topics(timeout=60).brokers.values()
        self.config = {"bootstrap.servers": ",".join(f"{broker.host}:{broker.port}" for broker in known)}

    def send(self, topic: str, partition: int, time_ms: int, value: bytes | None, key: bytes | None = None, **more) -> None:
        self.producer.produce(topic, value, key, partition, timestamp=time_ms, **more)

    def flush(self) -> None:
        assert self.producer.flush(120) == 0
