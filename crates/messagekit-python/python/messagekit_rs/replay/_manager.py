"""Reads topics in the order of their time."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from .. import _native
from .._process import this_process
from ._errors import ReplayError, translated
from ._schemas import needs_pyarrow
from ._source_topic import SourceTopic, checked

if TYPE_CHECKING:
    import pyarrow

BATCH_SIZE = 10_000


class ConsumerManager:
    """Reads topics of Kafka in the order of their time: all of the past that they have now, then what is new, as it arrives.

    It only reads: it joins no group and commits nothing, whatever the properties of groups and commits in ``config`` are, which are those
    of librdkafka. Each topic begins where its policy says. With ``cutoff_ms`` nothing later than that time is returned before every
    partition has reached it, or the end that it has now. ``headers`` and ``event_id`` add columns of these names to each batch.

    One thread at a time reads; the interpreter is free meanwhile. Leave a ``with`` block, or call ``close``, to end reading.

    Raises ``KeyError``, ``ValueError`` and ``TypeError`` for arguments, for topics as ``validate_source_topic`` does, and a ``ReplayError``, which is a
    ``RuntimeError``, if a topic is missing or named twice, and for brokers that do not answer.
    """

    def __init__(
        self,
        config: Mapping[str, str],
        topics: Iterable[SourceTopic | Mapping[str, Any]],
        cutoff_ms: int | None = None,
        batch_size: int | None = BATCH_SIZE,
        *,
        headers: bool = False,
        event_id: bool = False,
    ):
        settings = settings_of(topics, cutoff_ms, batch_size, headers, event_id)
        if not hasattr(_native.Replay, "kafka"):
            raise ReplayError("this wheel was built without Kafka: use ConsumerManager.from_file, or another wheel", "Unavailable")
        self._process = this_process()
        with translated():
            self._opened = _native.Replay.kafka(dict(config), settings)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        topics: Iterable[SourceTopic | Mapping[str, Any]],
        cutoff_ms: int | None = None,
        batch_size: int | None = BATCH_SIZE,
        *,
        headers: bool = False,
        event_id: bool = False,
    ) -> ConsumerManager:
        """Read topics of a SQLite file, such as that of ``messagekit_rs.Source``, in the same way."""
        settings = settings_of(topics, cutoff_ms, batch_size, headers, event_id)
        manager = cls.__new__(cls)
        manager._process = this_process()
        with translated():
            manager._opened = _native.Replay.file(os.fspath(path), settings)
        return manager

    @property
    def _replay(self) -> _native.Replay:
        if os.getpid() != self._process:
            raise RuntimeError("reader was opened before this process was forked: open it in a process of 'spawn' or 'forkserver'")
        return self._opened

    def poll(self, timeout_ms: int) -> pyarrow.RecordBatch:
        """Return the next records, at most ``batch_size``, and none if none can be released within ``timeout_ms``.

        It does not wait for more when there are some. Raises a ``ReplayError``; if that is transient, poll again.
        """
        with translated():
            return self._replay.poll(timeout_ms)

    def is_live(self) -> bool:
        """Return whether all of the past was returned: records come as they arrive from now on."""
        with translated():
            return self._replay.is_live()

    def partition_state(self) -> pyarrow.RecordBatch:
        """Return how far each partition is, by topic and partition."""
        with translated():
            return self._replay.partition_state()

    def held_message_count(self) -> int:
        """Return the number of records that were read and not returned."""
        with translated():
            return self._replay.held_message_count()

    def paused_partition_count(self) -> int:
        """Return the number of partitions that are not read for now, because they are ahead of others."""
        with translated():
            return self._replay.paused_partition_count()

    def get_priming_watermark(self) -> int | None:
        """Return the time, in milliseconds since 1970, up to which all records of the past are known.

        ``None`` before every partition has shown a time, and once the reader is live.
        """
        with translated():
            return self._replay.priming_watermark()

    def counts(self) -> dict[str, int]:
        """Return how many records were ``consumed``, ``released``, ``late``, ``ahead`` of the clock and ``deleted`` before they were read,
        and how often partitions were ``paused``."""
        with translated():
            return self._replay.counts()

    def close(self) -> None:
        """End reading. What is closed may be closed again."""
        with translated():
            self._replay.close()

    def __enter__(self) -> ConsumerManager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def settings_of(
    topics: Iterable[SourceTopic | Mapping[str, Any]],
    cutoff_ms: int | None,
    batch_size: int | None,
    headers: bool,
    event_id: bool,
) -> dict[str, Any]:
    """Return the settings of a reader as the native part reads them."""
    needs_pyarrow()
    if isinstance(topics, (str, bytes, Mapping)):
        raise TypeError(f"topics must be a list of topics, not a {type(topics).__name__}")
    batch_size = BATCH_SIZE if batch_size is None else batch_size
    for name, value in (("cutoff_ms", cutoff_ms), ("batch_size", batch_size)):
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    if not 1 <= batch_size < 2**32:
        raise ValueError(f"batch_size must be at least 1 and below 2 to the 32nd, not {batch_size}")
    return {
        "topics": [checked(topic) for topic in topics],
        "cutoff_ms": cutoff_ms,
        "batch_size": batch_size,
        "headers": headers,
        "event_id": event_id,
    }
