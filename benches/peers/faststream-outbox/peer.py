"""An outbox of faststream-outbox that is relayed to Kafka through FastStream's Confluent broker.

Usage: peer.py fill|relay, with BENCH_DATABASE, BENCH_KAFKA and BENCH_TOPIC set.
"""

import asyncio
import os
import sys

from faststream import FastStream
from faststream.confluent import KafkaBroker
from faststream_outbox import OutboxBroker, make_outbox_table
from faststream_outbox.annotations import OutboxMessage
from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import create_async_engine

QUEUE = "bench"
TOGETHER = 100

metadata = MetaData()
table = make_outbox_table(metadata, table_name="outbox")
url = os.environ["BENCH_DATABASE"].replace("postgres://", "postgresql+asyncpg://", 1)
engine = create_async_engine(url.split("?")[0], pool_size=10)
outbox = OutboxBroker(engine, outbox_table=table, logger=None)


async def fill() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT account, payload FROM bench_source ORDER BY number"))).all()
    await outbox.connect()
    for start in range(0, len(rows), TOGETHER):
        async with engine.begin() as connection:
            for account, payload in rows[start : start + TOGETHER]:
                body = payload.encode()
                await outbox.publish(body, queue=QUEUE, session=connection, headers={"account": account})
    await engine.dispose()


async def relay() -> None:
    kafka = KafkaBroker(os.environ["BENCH_KAFKA"], logger=None)
    publisher = kafka.publisher(os.environ["BENCH_TOPIC"])

    @outbox.subscriber(
        QUEUE,
        max_workers=4,
        fetch_batch_size=100,
        terminal_flush_batch_size=100,
        min_fetch_interval=0.01,
        max_fetch_interval=0.05,
    )
    async def handle(message: OutboxMessage) -> None:
        await publisher.publish(message.body, key=message.headers["account"].encode())

    await FastStream(outbox, logger=None, on_startup=[kafka.start]).run()


asyncio.run({"fill": fill, "relay": relay}[sys.argv[1]]())
