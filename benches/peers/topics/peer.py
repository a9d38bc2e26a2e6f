"""Appends to, claims from and pipes through a queue in one file, with one of several libraries.

Usage: peer.py LIBRARY WORK FULL|NORMAL FILE RECORDS
Works: "append" (a commit each), "append 100" (100 in a commit), "claim 128" (128 taken and acknowledged in a batch), "pipeline" (taken,
appended to a second queue, acknowledged). A library without batches does the same one by one.
Prints one JSON object: {"seconds": S, "lost": N, "doubled": N, "out_of_order": N}, counted by what a reader gets afterwards.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import random
import sqlite3
import string
import sys
import time
from collections.abc import Iterator
from typing import Any

Record = dict[str, Any]

APPEND = 100
CLAIM = 128
FILL = 1000


def records(count: int) -> list[Record]:
    dice = random.Random(20261125)
    letters = string.ascii_letters + string.digits
    text = ["".join(dice.choices(letters, k=110)) for _ in range(64)]
    return [
        {"number": number, "url": f"https://example.org/feeds/{number}", "text": text[number % 64]}
        for number in range(count)
    ]


class Shape:
    """One table as minikafka has it: a hash of each record, the time at which it was handled, a commit for each."""

    def __init__(self, path: str, mode: str):
        self.connection = sqlite3.connect(path, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute(f"PRAGMA synchronous={mode}")
        for table in ("items", "copies"):
            self.connection.execute(
                f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload TEXT NOT NULL, payload_hash TEXT NOT NULL,"
                " dedup_hash TEXT, created_at TEXT NOT NULL, handled_at TEXT, UNIQUE (topic, dedup_hash))"
            )

    def put(self, record: Record, table: str = "items") -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        self._insert(record, table)
        self.connection.execute("COMMIT")

    def put_many(self, batch: list[Record]) -> None:
        self.connection.execute("BEGIN IMMEDIATE")
        for record in batch:
            self._insert(record, "items")
        self.connection.execute("COMMIT")

    def _insert(self, record: Record, table: str) -> None:
        payload = json.dumps(record, sort_keys=True)
        digest = hashlib.sha256(payload.encode()).hexdigest()
        dedup = hashlib.sha256(json.dumps({"url": record["url"]}).encode()).hexdigest()
        self.connection.execute(
            f"INSERT INTO {table} (topic, payload, payload_hash, dedup_hash, created_at) VALUES ('items', ?, ?, ?, ?)",
            (payload, digest, dedup, str(time.time())),
        )

    def take(self) -> Iterator[Record]:
        rows = self.connection.execute("SELECT id, payload FROM items WHERE handled_at IS NULL ORDER BY id").fetchall()
        for id, payload in rows:
            self.connection.execute("UPDATE items SET handled_at = ? WHERE id = ?", (str(time.time()), id))
            yield json.loads(payload)

    def pipe(self) -> None:
        rows = self.connection.execute("SELECT id, payload FROM items WHERE handled_at IS NULL ORDER BY id").fetchall()
        for id, payload in rows:
            self.connection.execute("BEGIN IMMEDIATE")
            self._insert(json.loads(payload), "copies")
            self.connection.execute("UPDATE items SET handled_at = ? WHERE id = ?", (str(time.time()), id))
            self.connection.execute("COMMIT")

    def copies(self) -> list[Record]:
        return [json.loads(payload) for (payload,) in self.connection.execute("SELECT payload FROM copies ORDER BY id")]


class OneByOne:
    """A library without batches."""

    def put_many(self, batch: list[Record]) -> None:
        for record in batch:
            self.put(record)


class Litequeue(OneByOne):
    def __init__(self, path: str, mode: str):
        import litequeue

        self.queue = litequeue.LiteQueue(path)

    def put(self, record: Record) -> None:
        self.queue.put(json.dumps(record))

    def take(self) -> Iterator[Record]:
        while (message := self.queue.pop()) is not None:
            self.queue.done(message.message_id)
            yield json.loads(message.data)


class PersistQueue(OneByOne):
    def __init__(self, path: str, mode: str):
        import persistqueue

        os.makedirs(path)
        self.queue = persistqueue.SQLiteAckQueue(path, auto_commit=True)

    def put(self, record: Record) -> None:
        self.queue.put(json.dumps(record))

    def take(self) -> Iterator[Record]:
        while self.queue.size:
            message = self.queue.get()
            self.queue.ack(message)
            yield json.loads(message)


class SimpleBroker(OneByOne):
    def __init__(self, path: str, mode: str):
        from simplebroker import Queue

        self.queue = Queue("items", db_path=path, persistent=True)

    def put(self, record: Record) -> None:
        self.queue.write(json.dumps(record))

    def take(self) -> Iterator[Record]:
        while messages := self.queue.read_many(CLAIM):
            yield from map(json.loads, messages)


class Honker:
    def __init__(self, path: str, mode: str):
        import honker

        self.database = honker.open(path)
        self.queue, self.second = self.database.queue("items"), self.database.queue("copies")

    def put(self, record: Record) -> None:
        self.queue.enqueue(record)

    def put_many(self, batch: list[Record]) -> None:
        with self.database.transaction() as transaction:
            for record in batch:
                self.queue.enqueue(record, tx=transaction)

    def take(self, queue: Any = None) -> Iterator[Record]:
        queue = queue or self.queue
        while jobs := queue.claim_batch("bench", CLAIM):
            queue.ack_batch([job.id for job in jobs], "bench")
            yield from (job.payload for job in jobs)

    def pipe(self) -> None:
        while jobs := self.queue.claim_batch("bench", CLAIM):
            with self.database.transaction() as transaction:
                for job in jobs:
                    self.second.enqueue(job.payload, tx=transaction)
            self.queue.ack_batch([job.id for job in jobs], "bench")

    def copies(self) -> list[Record]:
        return list(self.take(self.second))


class Messagekit:
    def __init__(self, path: str, mode: str):
        from dataclasses import dataclass

        import messagekit_rs

        @dataclass
        class Item:
            number: int
            url: str
            text: str

        self.source = messagekit_rs.Source(path, synchronous=mode.lower())
        self.items = self.source.topic("items", Item, dedup=None)
        self.second = self.source.topic("copies", Item, dedup=["url"])

    def put(self, record: Record) -> None:
        self.items.append(record)

    def put_many(self, batch: list[Record]) -> None:
        self.items.extend(batch)

    def take(self) -> Iterator[Record]:
        for record in self.items.iter_new(records=True):
            record.ack()
            yield vars(record.data)

    def pipe(self) -> None:
        self.source.full_pipeline(self.items.pipe(lambda item: item).to(self.second)).run(atomic_batch=CLAIM)

    def copies(self) -> list[Record]:
        return list(self.second.iter_new(as_dict=True))


LIBRARIES = {
    "shape": Shape,
    "litequeue": Litequeue,
    "persist-queue": PersistQueue,
    "simplebroker": SimpleBroker,
    "honker": Honker,
    "messagekit": Messagekit,
}


def main() -> None:
    library, work, mode, path, count = *sys.argv[1:5], int(sys.argv[5])
    queue, all_records = LIBRARIES[library](path, mode), records(count)
    if work in ("claim 128", "pipeline"):
        for start in range(0, count, FILL):
            queue.put_many(all_records[start : start + FILL])
    started = time.perf_counter()
    if work == "append":
        for record in all_records:
            queue.put(record)
    elif work == "append 100":
        for start in range(0, count, APPEND):
            queue.put_many(all_records[start : start + APPEND])
    elif work == "claim 128":
        taken = list(queue.take())
    else:
        queue.pipe()
    seconds = time.perf_counter() - started
    if work == "pipeline":
        taken = queue.copies()
    elif work != "claim 128":
        taken = list(queue.take())
    seen = [record["number"] for record in taken]
    behind = sum(later < earlier for earlier, later in itertools.pairwise(seen))
    lost, doubled = count - len(set(seen)), len(seen) - len(set(seen))
    print(json.dumps({"seconds": seconds, "lost": lost, "doubled": doubled, "out_of_order": behind}))


main()
