"""Reads a topic of Kafka in the order of its time, with one of several libraries.

Usage: peer.py LIBRARY BROKERS TOPIC RECORDS BATCH
Prints one JSON object: {"seconds": S, "first": S, "mib": M, "lost": N, "doubled": N, "out_of_order": N}: the time from opening to the last
record and to the first batch, the most memory, and what the records show afterwards. A record is out of order that came behind a newer one.
"""

from __future__ import annotations

import heapq
import json
import resource
import sys
import time
from collections.abc import Iterator

import numpy as np

# Partition, offset and time of some records.
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def of_manager(module, brokers: str, topic: str, batch: int) -> Iterator[Rows]:
    config = {"bootstrap.servers": brokers, "group.id": topic}
    manager = module.ConsumerManager(config, [module.SourceTopic.from_earliest(topic)], batch_size=batch)
    while True:
        records = manager.poll(1_000)
        if records.num_rows:
            columns = (records.column(name) for name in ("partition", "offset", "timestamp"))
            yield tuple(column.to_numpy(zero_copy_only=False).astype(np.int64) for column in columns)
        elif manager.is_live():
            return


def messagekit(brokers: str, topic: str, batch: int) -> Iterator[Rows]:
    import messagekit_rs.replay

    return of_manager(messagekit_rs.replay, brokers, topic, batch)


def kafkarrow(brokers: str, topic: str, batch: int) -> Iterator[Rows]:
    import kafkarrow

    return of_manager(kafkarrow, brokers, topic, batch)


def heap(brokers: str, topic: str, batch: int) -> Iterator[Rows]:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    consumer = Consumer({"bootstrap.servers": brokers, "group.id": topic, "enable.auto.commit": False})
    partitions = list(consumer.list_topics(topic).topics[topic].partitions)
    ends = {one: consumer.get_watermark_offsets(TopicPartition(topic, one))[1] for one in partitions}
    consumer.assign([TopicPartition(topic, one, OFFSET_BEGINNING) for one in partitions])
    # The last time of each partition that has not reached its end.
    last = {one: -1 for one, end in ends.items() if end > 0}
    held: list[tuple] = []
    while last or held:
        for message in consumer.consume(batch, 1.0) if last else ():
            partition, offset, (_, at) = message.partition(), message.offset(), message.timestamp()
            heapq.heappush(held, (at, partition, offset, message))
            last[partition] = at
            if offset + 1 >= ends[partition]:
                del last[partition]
        limit = min(last.values(), default=None)
        released = []
        while held and (limit is None or held[0][0] <= limit) and len(released) < batch:
            released.append(heapq.heappop(held)[:3])
        if released:
            at, partition, offset = np.array(released, dtype=np.int64).T
            yield partition, offset, at


def main() -> None:
    library, brokers, topic, records, batch = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
    rows, count, first = [], 0, None
    began = time.perf_counter()
    for some in {"messagekit": messagekit, "kafkarrow": kafkarrow, "heap": heap}[library](brokers, topic, batch):
        first = first or time.perf_counter() - began
        rows.append(some)
        count += len(some[0])
        if count >= records:
            break
    seconds = time.perf_counter() - began
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    partition, offset, at = (np.concatenate(column) for column in zip(*rows))
    known = np.unique(partition * (1 << 40) + offset)
    newest = np.maximum.accumulate(at)
    print(json.dumps({
        "seconds": seconds, "first": first, "mib": round(mib), "lost": records - len(known), "doubled": count - len(known),
        "out_of_order": int(np.count_nonzero(at < newest)),
    }))


main()
