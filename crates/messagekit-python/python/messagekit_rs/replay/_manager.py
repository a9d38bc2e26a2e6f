"""Reads topics in the order of their time."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from .. import _native
from .._process import this_process
from ._errors import ReplayError, translated
from ._kafka import reader_of_kafka
from .schema import needs_pyarrow
from .source_topic import SourceTopic, checked, integer

if TYPE_CHECKING:
    import pyarrow
    from typing_extensions import Self

BATCH_SIZE = 10_000
# Milliseconds of 1980. A smaller cutoff is the size of a batch at its place: in the original that is the third argument.
EARLIEST_CUTOFF = 315_532_800_000


class Counts(TypedDict):
    """How many records a reader has seen, by what became of them, and how often it has paused a partition."""

    consumed: int
    released: int
    late: int
    ahead: int
    deleted: int
    paused: int


class ConsumerManager:
    """Reads topics of Kafka in the order of their time: all of the past that they have now, then what is new, as it arrives.

    It only reads: it joins no group and commits nothing, whatever the properties of groups and commits in ``config`` are, which are those
    of librdkafka. Each topic begins where its policy says. With ``cutoff_ms`` nothing later than that time is returned before every
    partition has reached it, or the end that it has now. ``headers`` and ``event_id`` add columns of these names to each batch.

    Threads share a manager: one reads at a time, without the interpreter, and the others are answered while it waits. Leave a ``with``
    block, or call ``close``, to end reading.

    It needs the package ``messagekit-rs-kafka``: install ``messagekit-rs[kafka]``. Without it there is an ``ImportError``.

    Raises ``ValueError`` and ``TypeError`` for arguments, what ``validate_source_topic`` raises for topics, and a ``ReplayError``, which is
    a ``RuntimeError``, if a topic is missing or named twice, and for brokers that do not answer.
    """

    _opened: _native._Reader | None = None
    _process = 0

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
        config = checked_config(config)
        replay = reader_of_kafka()
        self._process = this_process()
        with translated():
            self._opened = replay.kafka(config, settings)

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
    ) -> Self:
        """Read topics of a SQLite file, such as that of ``messagekit_rs.Source``, in the same way."""
        settings = settings_of(topics, cutoff_ms, batch_size, headers, event_id)
        manager = cls.__new__(cls)
        manager._process = this_process()
        with translated():
            manager._opened = _native.Replay.file(os.fspath(path), settings)
        return manager

    @property
    def _replay(self) -> _native._Reader:
        if self._opened is None:
            raise ReplayError("reader is closed", "Closed")
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

    def counts(self) -> Counts:
        """Return how many records were read, returned, late, ahead of the clock, and deleted before they were read, and the pauses."""
        with translated():
            return Counts(zip(Counts.__annotations__, self._replay.counts()))  # type: ignore[misc]

    def close(self) -> None:
        """End reading. What is closed may be closed again, and in a forked process nothing is open."""
        opened, self._opened = self._opened, None
        if opened is not None and os.getpid() == self._process:
            with translated():
                opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._opened is not None and os.getpid() == self._process:
            warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'closed' if self._opened is None else 'open'} at {id(self):#x}>"


def checked_config(config: Mapping[str, str]) -> dict[str, str]:
    """Return properties of librdkafka, which are texts."""
    for key, value in config.items():
        if not isinstance(key, str) or not isinstance(value, str):
            hint = ": callbacks are not called here" if callable(value) else ""
            raise TypeError(f"config[{key!r}] must be a str, not {type(value).__name__}{hint}")
    return dict(config)


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
    batch_size = BATCH_SIZE if batch_size is None else integer(batch_size, "batch_size")
    cutoff_ms = None if cutoff_ms is None else integer(cutoff_ms, "cutoff_ms")
    if not 1 <= batch_size < 2**32:
        raise ValueError(f"batch_size must be at least 1 and below 2 to the 32nd, not {batch_size}")
    if cutoff_ms is not None and cutoff_ms < EARLIEST_CUTOFF:
        raise ValueError(f"cutoff_ms is in milliseconds since 1970, and {cutoff_ms} lies before 1980: for the size of a batch write batch_size=")
    return {
        "topics": [checked(topic) for topic in topics],
        "cutoff_ms": cutoff_ms,
        "batch_size": batch_size,
        "headers": bool(headers),
        "event_id": bool(event_id),
    }
