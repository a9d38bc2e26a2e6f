"""Records of Kafka in the order of their time. The brokers are librdkafka's own, inside of the producer."""

from __future__ import annotations

import random
import threading
import time

import pytest
from brokers import BEGIN, PARTITIONS

from messagekit_rs.replay import ConsumerManager, ReplayError, SourceTopic

def past(manager: ConsumerManager) -> list[dict]:
    rows = []
    while not manager.is_live():
        rows += manager.poll(60_000).to_pylist()
    return rows


def test_two_topics_come_in_the_order_of_their_time(brokers):
    rng = random.Random(7)
    times = {(topic, partition): BEGIN for topic in ("orders", "payments") for partition in range(PARTITIONS)}
    for _ in range(4_000):
        # Most of the records are in one partition.
        topic, partition = ("orders", 0) if rng.random() < 0.6 else (rng.choice(["orders", "payments"]), rng.randrange(PARTITIONS))
        times[topic, partition] += rng.randrange(100)
        brokers.send(topic, partition, times[topic, partition], b"x" * 50)
    brokers.flush()
    topics = [SourceTopic.from_earliest("orders"), SourceTopic.from_earliest("payments")]
    with ConsumerManager(brokers.config, topics, batch_size=100) as manager:
        rows = past(manager)
        assert manager.counts()["late"] == 0 and manager.counts()["paused"] > 0
    places = [(row["timestamp"], row["topic"], row["partition"], row["offset"]) for row in rows]
    assert len(places) == len(set(places)) == 4_000
    assert places == sorted(places)


def test_offsets_of_a_partition_never_change_places(brokers):
    for time_ms in (500, 100, 900, 200):
        brokers.send("orders", 0, BEGIN + time_ms, str(time_ms).encode())
    brokers.send("orders", 1, BEGIN + 600, b"600")
    brokers.flush()
    with ConsumerManager(brokers.config, [SourceTopic.from_earliest("orders")]) as manager:
        assert [row["value"] for row in past(manager)] == [b"500", b"100", b"600", b"900", b"200"]
        assert manager.counts()["late"] == 2


def test_keys_values_and_headers_arrive_as_they_were_sent(brokers):
    brokers.send("orders", 2, BEGIN, b"\x00\xff", b"k", headers=[("trace", b"1"), ("empty", b"")])
    brokers.send("orders", 2, BEGIN + 1, None, b"k")
    brokers.flush()
    with ConsumerManager(brokers.config, [SourceTopic.from_earliest("orders")], headers=True) as manager:
        sent, deleted = past(manager)
    assert (sent["key"], sent["value"], sent["partition"]) == (b"k", b"\x00\xff", 2)
    assert [(header["name"], header["value"]) for header in sent["headers"]] == [("trace", b"1"), ("empty", b"")]
    assert deleted["value"] is None and int(deleted["timestamp"].timestamp() * 1000) == BEGIN + 1


def test_nothing_later_than_the_cutoff_comes_before_it_is_reached(brokers):
    for number in range(10):
        brokers.send("orders", number % 2, BEGIN + number, str(number).encode())
    brokers.flush()
    with ConsumerManager(brokers.config, [SourceTopic.from_earliest("orders")], BEGIN + 5) as manager:
        rows = past(manager)
        assert [row["value"] for row in rows[:6]] == [b"0", b"1", b"2", b"3", b"4", b"5"]
        while len(rows) < 10:
            rows += manager.poll(60_000).to_pylist()
    assert sorted(row["value"] for row in rows) == [str(number).encode() for number in range(10)]


def test_properties_of_groups_and_producers_change_nothing(brokers):
    brokers.send("orders", 0, BEGIN, b"1")
    brokers.flush()
    groups = {"group.id": "billing", "enable.auto.commit": "true", "auto.offset.reset": "latest", "group.instance.id": "a"}
    producers = {"acks": "all", "enable.idempotence": "true", "message.timeout.ms": "1000", "isolation.level": "read_committed"}
    for _ in range(2):
        with ConsumerManager(brokers.config | groups | producers, [SourceTopic.from_earliest("orders")]) as manager:
            assert [row["value"] for row in past(manager)] == [b"1"]


def test_a_live_reader_gets_what_is_sent_later(brokers):
    brokers.send("orders", 0, BEGIN, b"past")
    brokers.flush()
    with ConsumerManager(brokers.config, [SourceTopic.from_latest("orders")]) as manager:
        assert manager.is_live() and manager.poll(0).num_rows == 0
        got = []
        reader = threading.Thread(target=lambda: got.append(manager.poll(600_000)))
        reader.start()
        brokers.send("orders", 0, BEGIN + 1, b"new")
        brokers.flush()
        reader.join(120)
        assert [row["value"] for batch in got for row in batch.to_pylist()] == [b"new"]


def test_brokers_that_do_not_answer_are_a_transient_error():
    began = time.monotonic()
    with pytest.raises(ReplayError) as refused:
        ConsumerManager({"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}, [SourceTopic("orders")])
    assert isinstance(refused.value, RuntimeError) and refused.value.is_transient
    assert "Connection refused" in str(refused.value)
    assert "orders" in str(refused.value) and time.monotonic() - began < 60


@pytest.mark.parametrize(
    ("more", "exception", "text"),
    [
        ({"nonsense": "1"}, ReplayError, "nonsense"),
        ({"isolation.level": "read_uncommitted"}, ReplayError, "isolation.level cannot be changed"),
        ({"socket.timeout.ms": "soon"}, ReplayError, "socket.timeout.ms"),
        ({"client.id": 7}, TypeError, r"config\['client.id'\] must be a str, not int"),
        ({"error_cb": print}, TypeError, "callbacks are not called here"),
        ({"client.id": "a\0b"}, ReplayError, "client.id has a NUL"),
    ],
)
def test_properties_that_cannot_be_are_refused(brokers, more, exception, text):
    with pytest.raises(exception, match=text):
        ConsumerManager(brokers.config | more, [SourceTopic("orders")])


@pytest.mark.parametrize("name", ["", "a\0b", "a" * 100_000], ids=["empty", "nul", "long"])
def test_what_cannot_be_a_name_of_a_topic_is_refused(brokers, name):
    with pytest.raises(ReplayError, match="a name of 1 to 249 characters") as refused:
        ConsumerManager(brokers.config, [SourceTopic(name)])
    assert not refused.value.is_transient


def test_a_time_in_microseconds_is_ahead_and_kept_as_far_as_it_goes(brokers):
    brokers.send("orders", 0, BEGIN * 1_000, b"far")
    brokers.send("orders", 1, BEGIN, b"near")
    brokers.flush()
    with ConsumerManager(brokers.config, [SourceTopic.from_earliest("orders")]) as manager:
        batches = [manager.poll(60_000)]
        while not manager.is_live():
            batches.append(manager.poll(60_000))
        assert manager.counts()["ahead"] == 1
    values = [value for batch in batches for value in batch.column("value").to_pylist()]
    times = [time for batch in batches for time in batch.column("timestamp").cast("int64").to_pylist()]
    assert values == [b"near", b"far"] and times[0] == BEGIN and times[1] > 253_000_000_000_000


def test_a_config_without_a_broker_is_refused():
    with pytest.raises(ReplayError, match="no bootstrap.servers"):
        ConsumerManager({"group.id": "a"}, [SourceTopic("orders")])
