"""One open topic."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._calls import Calls
from ._errors import translated
from ._model import Model, exact
from ._pipeline import Pipeline
from ._record import Record, moment
from ._retention import Retention

if TYPE_CHECKING:
    from . import _native
    from ._source import Source

ModelT = TypeVar("ModelT")
OutputT = TypeVar("OutputT")

_PAGE = 256


class Topic(Generic[ModelT]):
    """A topic of a file. Its records are values of ``model``."""

    def __init__(self, source: Source, name: str, model: Model, native: _native.Topic):
        self.source = source
        self.name = name
        self._model = model
        self._native = native

    @property
    def model(self) -> type[ModelT]:
        """The class of the records."""
        return self._model.type

    def named(self, consumer: str) -> Topic[ModelT]:
        """Return the topic as another consumer sees it: what is new and handled is its own."""
        return Topic(self.source, self.name, self._model, self._native.named(consumer))

    def append(self, payload: ModelT | dict[str, Any]) -> ModelT:
        """Check and append a record, and return it as a value of the model.

        Raises pydantic's ``ValidationError``, ``DuplicateMessageError`` if the topic has a record with the same dedup fields, and
        ``ValueError`` for a value that JSON cannot hold.
        """
        return self.extend([payload])[0]

    def append_if_new(self, payload: ModelT | dict[str, Any]) -> bool:
        """Append a record unless the topic has one with the same dedup fields, and return whether it was appended."""
        return self.extend_if_new([payload])[0]

    def extend(self, payloads: Iterable[ModelT | dict[str, Any]]) -> list[ModelT]:
        """Check all records and append them in one transaction. One that is refused leaves all of them out."""
        models, texts = self._checked(payloads)
        native = self._opened()
        with translated():
            ids = native.extend(texts)
        self._heard(dict(zip(ids, texts, strict=True)))
        return models

    def extend_if_new(self, payloads: Iterable[ModelT | dict[str, Any]]) -> list[bool]:
        """Append those records that the topic does not have, in one transaction, and return for each whether it was appended."""
        _, texts = self._checked(payloads)
        native = self._opened()
        with translated():
            outcomes = native.extend_if_new(texts)
        self._heard({id: text for (_, id), text in zip(outcomes, texts, strict=True)})
        return [is_new for is_new, _ in outcomes]

    def iter_new(self, *, records: bool = False, as_dict: bool = False) -> Iterator[Any]:
        """Yield what is new, in the order of the ids: values, ``Record`` with ``records``, dictionaries with ``as_dict``."""
        yield from self._iter("new", records, as_dict)

    def iter_handled(self, *, records: bool = False, as_dict: bool = False) -> Iterator[Any]:
        """Yield what was handled, in the order of the ids."""
        yield from self._iter("handled", records, as_dict)

    def follow(self, *, records: bool = False, as_dict: bool = False) -> Iterator[Any]:
        """Yield what is new, and then wait for what any process appends, without an end."""
        yield from self._iter("follow", records, as_dict)

    def set_handled(self, _id: int | None = None, *, record: Record[Any] | None = None) -> None:
        """Note that a record was handled, now; a second call notes the new time. ``KeyError`` if the topic has no such record."""
        id = _id if _id is not None else None if record is None else record.id
        if id is None:
            raise ValueError("set_handled requires _id or record")
        native = self._opened()
        with translated():
            native.set_handled(id)
        self._heard({})

    def count(self, status: str | None = None) -> int:
        """Return how many records there are, of a status if one is named: ``new``, ``handled`` or ``dead``.

        ``expired`` are those that retention deleted before they were handled.
        """
        native = self._opened()
        with translated():
            counts = dict(zip((None, "new", "handled", "dead", "expired"), native.count(), strict=True))
        if status not in counts:
            raise ValueError(f"status must be 'new', 'handled', 'dead', 'expired' or None, not {status!r}")
        return counts[status]

    def set_retention(self, retention: Retention | None) -> None:
        """Set how long records are kept, or ``None`` for ever."""
        native = self._opened()
        with translated():
            native.set_retention(None if retention is None else retention._rule())

    def expire(self) -> int:
        """Delete the records that are no longer kept, and return how many. Appends delete, too."""
        native = self._opened()
        with translated():
            return native.expire()

    def pipe(self, fn: Callable[[ModelT], Any]) -> Pipeline[ModelT, Any]:
        """Begin a pipeline: ``fn`` makes a value, a dictionary, a list of them, or ``None`` of each new record."""
        return Pipeline(self, fn)

    def migrate(
        self, new_model: type[OutputT], migration_function: Callable[[ModelT], OutputT | dict[str, Any]]
    ) -> Topic[OutputT]:
        """Give every record another model, and return the topic with it. A failure leaves the topic as it was."""
        model = Model(new_model, "new_model")
        native = self._opened()
        calls = Calls(self, lambda value: [model.validate(migration_function(value))], model)
        with calls.translated():
            migrated = native.migrate(model.schema, calls.answer)
        self.source._models[self.name] = model
        return Topic(self.source, self.name, model, migrated)

    def to_polars(self) -> Any:
        """Return all records as a Polars ``DataFrame``, a column for each field. Nested values are a ``ValueError``."""
        try:
            import polars
        except ImportError as error:
            raise ImportError("to_polars() requires the optional 'polars' dependency: messagekit-rs[polars]") from error
        rows = list(self._iter("all", False, True))
        for row in rows:
            for key, value in row.items():
                if isinstance(value, (dict, list)):
                    raise ValueError(f"to_polars only supports flat payloads; {key!r} is nested")
        return polars.DataFrame(rows)

    def _opened(self) -> _native.Topic:
        # Fails after a close, and in a process that was forked.
        self.source._native
        return self._native

    def _checked(self, payloads: Iterable[ModelT | dict[str, Any]]) -> tuple[list[ModelT], list[str]]:
        models = [self._model.validate(payload) for payload in payloads]
        return models, [self._model.text(model) for model in models]

    def _iter(self, status: str, records: bool, as_dict: bool) -> Iterator[Any]:
        if records and as_dict:
            raise ValueError("records and as_dict cannot both be True")
        reading = self._opened().read(status)
        # A follower hands on what it has; it must not wait for a page.
        page = 1 if status == "follow" else _PAGE
        while True:
            self._opened()
            with translated():
                rows = reading.next_rows(page)
            self._heard({})
            if not rows:
                return
            for row in rows:
                yield self._value(row, records, as_dict)

    def _value(self, row: _native.Row, records: bool, as_dict: bool) -> Any:
        id, partition, offset, created, handled, status, payload_hash, dedup_hash, text = row
        if as_dict:
            return json.loads(text, parse_float=exact)
        data = self._model.load(text)
        if not records:
            return data
        created_at = moment(created)
        assert created_at is not None
        return Record(
            id, self.name, created_at, moment(handled), status, payload_hash, dedup_hash, data, partition, offset, self
        )

    def _heard(self, texts: dict[int, str]) -> None:
        """Call the observer for what has happened; texts of records that are not at hand are read."""
        for event, topic, id in self.source._happened():
            if event == "message_appended":
                text = texts.get(id)
                payload = self._stored(topic, id) if text is None else json.loads(text)
                self.source._emit(event, topic=topic, payload=payload)
            elif event == "message_handled":
                self.source._emit(event, topic=topic, id=id)
            elif event == "records_expired":
                self.source._emit(event, topic=topic, records=id)

    def _stored(self, topic: str, id: int) -> Any:
        native = self._native if topic == self.name else self.source._registered(topic)._native
        with translated():
            row = native.get(id)
        return None if row is None else json.loads(row[-1])

    def __repr__(self) -> str:
        return f"Topic(name={self.name!r}, model={self.model.__name__})"
