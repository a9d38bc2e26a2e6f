"""The algorithm of messagekit for Python, written again: a table of events, a poll for what is unpublished, and for each of them
one awaited publish and one commit that marks it. Its consumer looks for the id, applies, and adds the id, a commit per message.

Usage: peer.py fill|relay|consume, with BENCH_DATABASE, BENCH_KAFKA and BENCH_TOPIC set.
"""

import asyncio
import datetime
import os
import sys

from faststream import AckPolicy, FastStream
from faststream.confluent import KafkaBroker
from faststream.confluent.annotations import KafkaMessage
from sqlalchemy import BigInteger, DateTime, Identity, LargeBinary, Text, select, text
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

PAGE = 100
TOGETHER = 100


class Base(DeclarativeBase):
    pass


class OutboxEvent(Base):
    __tablename__ = "outbox_events"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    aggregate_id: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes] = mapped_column(LargeBinary)
    published_at: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True), index=True)


url = os.environ["BENCH_DATABASE"].replace("postgres://", "postgresql+asyncpg://", 1)
engine = create_async_engine(url)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def fill() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
        source = text("SELECT account, payload FROM bench_source ORDER BY number")
        rows = (await connection.execute(source)).all()
    for start in range(0, len(rows), TOGETHER):
        async with sessions() as session, session.begin():
            for account, payload in rows[start : start + TOGETHER]:
                session.add(OutboxEvent(aggregate_id=account, payload=payload.encode()))
    await engine.dispose()


async def relay() -> None:
    kafka = KafkaBroker(os.environ["BENCH_KAFKA"], logger=None)
    await kafka.start()
    page = select(OutboxEvent).where(OutboxEvent.published_at.is_(None)).order_by(OutboxEvent.id).limit(PAGE)
    while True:
        async with sessions() as session:
            events = (await session.scalars(page)).all()
            for event in events:
                await kafka.publish(event.payload, topic=os.environ["BENCH_TOPIC"], key=event.aggregate_id.encode())
                event.published_at = datetime.datetime.now(datetime.UTC)
                await session.commit()
        if not events:
            await asyncio.sleep(0.1)


class Seen(Base):
    __tablename__ = "seen"
    id: Mapped[str] = mapped_column(Text, primary_key=True)


class Effect(Base):
    __tablename__ = "effects"
    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    account: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(BigInteger)


async def consume() -> None:
    kafka = KafkaBroker(os.environ["BENCH_KAFKA"], logger=None)

    @kafka.subscriber(
        os.environ["BENCH_TOPIC"], group_id=os.environ["BENCH_GROUP"], auto_offset_reset="earliest", ack_policy=AckPolicy.NACK_ON_ERROR
    )
    async def apply(event: dict, message: KafkaMessage) -> None:
        async with sessions() as session, session.begin():
            if await session.get(Seen, message.headers["id"]) is None:
                session.add(Seen(id=message.headers["id"]))
                session.add(Effect(account=event["account"], number=event["number"]))

    await FastStream(kafka, logger=None).run()


asyncio.run({"fill": fill, "relay": relay, "consume": consume}[sys.argv[1]]())
