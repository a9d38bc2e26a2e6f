"""One open file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeVar

from . import _native
from ._errors import translated
from ._model import Model
from ._pipeline import FullPipeline, Pipeline
from ._process import this_process
from ._retention import Retention
from ._topic import Topic

ModelT = TypeVar("ModelT")

SCHEMES = ("sqlite", "file", "postgres", "postgresql", "http", "https")


def _file(path: object) -> str:
    """Return the path of a file as text, and refuse a value that would make a file of a strange name."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path must be a str or a Path, not {type(path).__name__}")
    text = str(path)
    scheme, colon, _ = text.partition(":")
    if colon and scheme in SCHEMES:
        raise ValueError(f"path is a URL, and Source takes the path of a file: {scheme}:…")
    return text


class Source:
    """A SQLite file with topics, made if it is missing. Several processes may have it open, and several threads may use one source.

    ``":memory:"`` is a file that ends with the source. With ``synchronous="normal"`` a commit is not flushed to the disk: when the machine
    loses power, the last commits may be gone; when only the program dies, they are not.
 ``on_event(name, **kwargs)`` is called for ``topic_created``, ``message_appended``,
    ``message_handled``, ``records_expired``, ``pipeline_start`` and ``pipeline_end``, on the caller's thread and after the commit. What it raises is dropped.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        on_event: Callable[..., None] | None = None,
        synchronous: Literal["full", "normal"] = "full",
    ):
        self.path = _file(path)
        self._on_event = on_event
        self._models: dict[str, Model] = {}
        self._process = this_process()
        self._closed = False
        if synchronous not in ("full", "normal"):
            raise ValueError(f"synchronous must be 'full' or 'normal', not {synchronous!r}")
        with translated():
            self._opened = _native.Source.open(self.path, on_event is not None, synchronous == "full")

    @property
    def _native(self) -> _native.Source:
        if self._closed:
            raise sqlite3.ProgrammingError("Cannot operate on a closed database.")
        if os.getpid() != self._process:
            raise RuntimeError("source was opened before this process was forked: open the file again in it")
        return self._opened

    def topic(
        self,
        name: str,
        model: type[ModelT],
        *,
        dedup: Iterable[str] | None,
        key: str | None = None,
        partitions: int = 1,
        retention: Retention | None = None,
        guard: Literal["exact", "compatible", "off"] = "exact",
    ) -> Topic[ModelT]:
        """Open a topic, and make it if the file does not have it.

        ``dedup`` names the fields, or the one field, that no two records may have in common; ``None`` takes every record. ``key`` names the field whose records
        keep their order in ``partitions``. ``retention`` says how long records are kept: for ever in a new topic, by the rule that it has in an
        existing one. ``guard`` says how much the schema of the file may differ.

        Raises ``SchemaMismatchError`` if the topic has another schema or rule, ``ValueError`` for a rule that names a missing field, and
        ``TypeError`` for a model that is neither a pydantic class nor a dataclass.
        """
        checked = Model(model)
        fields = checked.dedup(dedup)
        if guard not in ("exact", "compatible", "off"):
            raise ValueError(f"guard must be 'exact', 'compatible' or 'off', not {guard!r}")
        if partitions < 1:
            raise ValueError(f"partitions must be at least 1, not {partitions}")
        names = checked.fields()
        if key is not None and key not in names:
            raise ValueError(f"key field is not present on model: {key!r}")
        rules = {
            "dedup": [names[field] for field in fields],
            "key": None if key is None else names[key],
            "partitions": partitions,
            "retention": None if retention is None else retention._rule(),
            "guard": guard,
        }
        native = self._native
        with translated():
            opened = native.topic(name, checked.schema, rules)
        self._models[name] = checked
        topic: Topic[ModelT] = Topic(self, name, checked, opened)
        for event, *_ in self._happened():
            if event == "topic_created":
                self._emit(event, name=name, model=model.__name__, dedup=fields)
        return topic

    def full_pipeline(self, *pipelines: Pipeline[Any, Any]) -> FullPipeline:
        """Join pipelines into one graph."""
        return FullPipeline(list(pipelines), self)

    def backup(self, path: str | Path) -> None:
        """Write a copy of the file as of now, while others go on writing."""
        native = self._native
        with translated():
            native.backup(str(path))

    def import_minikafka(self, path: str | Path) -> tuple[int, int]:
        """Make the topics of a minikafka file and append their records, all records in one transaction. Handled records stay handled.

        Returns the numbers of topics and records. Raises ``MinikafkaError`` if one of the topics has records already, perhaps of an earlier
        import, and imports no record then.
        """
        native = self._native
        with translated():
            imported: tuple[int, int] = native.import_minikafka(str(path))
        self._happened()
        return imported

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self._closed:
            return
        native = self._native
        self._closed = True
        with translated():
            native.close()

    def _registered(self, name: str) -> Topic[Any]:
        model = self._models.get(name)
        if model is None:
            raise KeyError(f"topic is not registered in this Source: {name}; pass a Topic, or call Source.topic first")
        rules = {"dedup": [], "key": None, "partitions": 1, "retention": None, "guard": "exact"}
        native = self._native
        with translated():
            # Without a schema it is opened under the rules that it has.
            return Topic(self, name, model, native.topic(name, None, rules))

    def _happened(self) -> list[tuple[str, str, int]]:
        return [] if self._on_event is None else self._opened.take_events()

    def _emit(self, event: str, **kwargs: Any) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event, **kwargs)
            except Exception:
                pass

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Source({self.path!r})"
