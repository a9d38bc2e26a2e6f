"""Records that belong to this worker until their lease ends."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ._client import Client
from ._errors import ClaimLostError, ClientError, UnavailableError
from ._message import Message

log = logging.getLogger("messagekit_rs.client")

# How long to wait after an extension that was not answered.
_AGAIN = 0.5


class Claim:
    """The records of one answer, in their order. Each is settled here: handled, failed, or not begun."""

    def __init__(self, client: Client, group: str, lease: int, answer: dict[str, Any]):
        self.messages = [Message.of(group, message) for message in answer["messages"]]
        first = self.messages[0]
        self._client, self._lease = client, lease
        self._of: dict[str, Any] = {
            "topic_id": first.topic,
            "group_id": group,
            "partition_id": first.partition,
            "claim_id": answer["claim_id"],
        }
        self._until = time.monotonic() + lease
        self._open = [message.offset for message in self.messages]
        self._handled: set[int] = set()
        self._is_lost = False

    @property
    def is_lost(self) -> bool:
        """Whether its records may belong to another worker by now."""
        return self._is_lost or time.monotonic() >= self._until

    @property
    def has_open(self) -> bool:
        """Whether some of its records are not settled."""
        return bool(self._open)

    def lose(self) -> None:
        self._is_lost = True

    def handled(self, message: Message) -> None:
        """Note that a record was handled; ``acknowledge`` tells the server."""
        self._handled.add(message.offset)

    def acknowledge(self) -> None:
        """Acknowledge what was handled: the records up to the first open one together, and others by their offsets."""
        prefix = 0
        while prefix < len(self._open) and self._open[prefix] in self._handled:
            prefix += 1
        if prefix > 0:
            self._client.ack(**self._of, upto_offset=self._open[prefix - 1])
            self._settled(self._open[:prefix])
        if self._handled:
            others = sorted(self._handled)
            self._client.ack(**self._of, offsets=others)
            self._settled(others)

    def give_back(self, message: Message, delay: int, error: str) -> None:
        """Give a failed record back: it comes again after the delay, or is a failed message after the last attempt."""
        self._client.nack(**self._of, offsets=[message.offset], delay_seconds=delay, error=error)
        self._settled([message.offset])

    def release(self) -> None:
        """Give back what was not begun: others may have it at once, and no attempt counts."""
        if self._open:
            self._client.nack(**self._of, offsets=list(self._open), tried=False)
            self._settled(list(self._open))

    def _settled(self, offsets: list[int]) -> None:
        gone = set(offsets)
        self._handled -= gone
        self._open = [offset for offset in self._open if offset not in gone]

    @contextmanager
    def extended(self) -> Iterator[None]:
        """Extend the lease in good time, until the block ends."""
        done = threading.Event()
        thread = threading.Thread(target=self._extend_until, args=(done,), name="messagekit-lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()

    def _extend_until(self, done: threading.Event) -> None:
        pause = self._lease / 3
        with self._client.again() as client:
            while not done.wait(pause):
                began = time.monotonic()
                try:
                    client.extend(**self._of, lease_seconds=self._lease)
                    self._until, pause = began + self._lease, self._lease / 3
                except UnavailableError:
                    pause = min(_AGAIN, self._lease / 3)
                except ClaimLostError:
                    # After the last record was settled, there is nothing to extend.
                    if not done.is_set():
                        self.lose()
                    return
                except ClientError as error:
                    log.error("lease of %s cannot be extended: %s", self._of["topic_id"], error)
                    return
