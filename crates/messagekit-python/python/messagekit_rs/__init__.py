"""Typed topics and pipelines in one SQLite file.

Workers for topics over HTTP are in ``messagekit_rs.client``, and records in the order of their time, as Arrow, in ``messagekit_rs.replay``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .topics import *

__version__: str

__all__ = [
    "__version__",
    "DuplicateMessageError",
    "FanOutError",
    "FanOutFailure",
    "FullPipeline",
    "MinikafkaError",
    "Pipeline",
    "Record",
    "Retention",
    "SchemaMismatchError",
    "Source",
    "Topic",
]


def __getattr__(name: str) -> Any:
    # Only now: a worker over HTTP needs no native extension.
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("messagekit-rs")
    elif name in __all__:
        from . import topics

        value = getattr(topics, name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value
