"""The type of a topic's records: a pydantic class or a dataclass, and its JSON."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, PydanticSchemaGenerationError, PydanticUserError, TypeAdapter, ValidationError


class Model:
    """Checks, reads and writes the values of a type."""

    def __init__(self, model: Any, argument: str = "model"):
        is_class = isinstance(model, type)
        if not is_class or not (issubclass(model, BaseModel) or dataclasses.is_dataclass(model)):
            raise TypeError(f"{argument} must be a Pydantic BaseModel class or a dataclass, not {model!r:.80}")
        self.type = model
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(model)
            self._schema = json.dumps(self._adapter.json_schema())
        except (PydanticSchemaGenerationError, PydanticUserError) as error:
            raise TypeError(f"{argument} {model.__name__} has no JSON schema: {error.message}") from None

    @property
    def schema(self) -> str:
        """The JSON Schema of the records, as text."""
        return self._schema

    def fields(self) -> dict[str, str]:
        """Return the name of each field, with its name in JSON."""
        if issubclass(self.type, BaseModel):
            fields = self.type.model_fields
            return {name: field.serialization_alias or field.alias or name for name, field in fields.items()}
        return {field.name: field.name for field in dataclasses.fields(self.type)}

    def dedup(self, fields: Iterable[str] | None) -> tuple[str, ...]:
        """Check dedup fields, and return them sorted."""
        # A text is one field, and not its letters.
        named = (fields,) if isinstance(fields, str) else tuple(fields or ())
        if len(set(named)) != len(named):
            raise ValueError("dedup fields must be unique")
        missing = sorted(set(named) - set(self.fields()))
        if missing:
            raise ValueError(f"dedup fields are not present on model: {missing}")
        return tuple(sorted(named))

    def validate(self, value: Any) -> Any:
        """Return a value of the type, or raise pydantic's ``ValidationError``."""
        return self._adapter.validate_python(value)

    def load(self, text: str) -> Any:
        """Read a stored record."""
        return self._adapter.validate_json(text)

    def text(self, value: Any) -> str:
        """Return a value as the JSON text that is stored, or raise pydantic's ``ValidationError`` if no reader could read it again."""
        text = self._written(value)
        # Pydantic takes an instance as it is, whatever its fields hold. What a reader would convert is stored as converted.
        read = self.load(text)
        return text if read == value else self._written(read)

    def _written(self, value: Any) -> str:
        try:
            text: bytes = self._adapter.dump_json(value, by_alias=True, round_trip=True, warnings=False)
        except ValueError:
            # It may hold a lone surrogate, which the slow way names.
            return to_json(self.dump(value))
        # Where a field has no type, pydantic writes NaN and infinity as null, and as these words where a model asks for it.
        is_doubtful = any(word in text for word in (b"null", b"NaN", b"Infinity"))
        return to_json(self.dump(value)) if is_doubtful else text.decode()

    def dump(self, value: Any) -> dict[str, Any]:
        """Return a value as the dictionary that is stored, without computed fields: they are made again when it is read."""
        dumped = self._adapter.dump_python(value, mode="json", by_alias=True, round_trip=True, warnings=False)
        # Where a field has no type, pydantic writes NaN and infinity as null.
        if _holds(dumped, _is_none) and _holds(self._adapter.dump_python(value, warnings=False), _is_not_finite):
            raise ValueError("NaN and infinity are no JSON numbers: use None or a string")
        return dumped


def exact(text: str) -> float | Decimal:
    """Return a number of JSON as a float, or as a ``Decimal`` if a float would round it."""
    value = float(text)
    return value if math.isfinite(value) and Decimal(repr(value)) == Decimal(text) else Decimal(text)


def _is_none(value: Any) -> bool:
    return value is None


def _is_not_finite(value: Any) -> bool:
    return isinstance(value, float) and not math.isfinite(value)


def _holds(value: Any, is_wanted: Callable[[Any], bool]) -> bool:
    if isinstance(value, dict):
        return any(_holds(one, is_wanted) for one in value.values())
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_holds(one, is_wanted) for one in value)
    return is_wanted(value)


def to_json(value: dict[str, Any]) -> str:
    """Write a dictionary as JSON text that every reader accepts: without NaN, infinity and lone surrogates."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    text.encode()
    return text


def described(error: Exception) -> str:
    """Describe an exception for operators, without the values of a record that pydantic's own text quotes."""
    if isinstance(error, ValidationError):
        parts = (
            f"{'.'.join(map(str, part['loc'])) or 'record'}: {part['type']}"
            for part in error.errors(include_url=False, include_context=False, include_input=False)
        )
        return f"ValidationError: {', '.join(parts)}"
    text = str(error).encode(errors="replace").decode()
    return f"{type(error).__name__}: {text}"
