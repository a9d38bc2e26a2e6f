"""Records of many topics in the order of their time, as Arrow: the names of kafkars, with the same arguments and results.

Batches are ``pyarrow`` objects: install ``messagekit-rs[replay]`` for topics of files, and ``messagekit-rs[kafka]`` for those of Kafka too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import ReplayError
from ._manager import ConsumerManager, Counts
from .schema import get_message_schema, get_partition_state_schema
from .source_topic import SourceTopic, validate_source_topic

if TYPE_CHECKING:
    import pyarrow

    MESSAGE_SCHEMA: pyarrow.Schema
    PARTITION_STATE_SCHEMA: pyarrow.Schema
    __version__: str

__all__ = [
    "__version__",
    "ConsumerManager",
    "Counts",
    "MESSAGE_SCHEMA",
    "PARTITION_STATE_SCHEMA",
    "ReplayError",
    "SourceTopic",
    "get_message_schema",
    "get_partition_state_schema",
    "validate_source_topic",
]


def __getattr__(name: str) -> Any:
    # Only now: pyarrow is not required by the rest of the package.
    if name in ("MESSAGE_SCHEMA", "PARTITION_STATE_SCHEMA"):
        from . import schema

        value: Any = getattr(schema, name)
    elif name == "__version__":
        from .. import __version__ as value
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, value)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
