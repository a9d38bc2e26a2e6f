"""Typed topics and pipelines in one SQLite file."""

from importlib.metadata import version as _version

from .topics import (
    DuplicateMessageError,
    FanOutError,
    FanOutFailure,
    FullPipeline,
    MinikafkaError,
    Pipeline,
    Record,
    SchemaMismatchError,
    Source,
    Topic,
)

__version__ = _version("messagekit-rs")

__all__ = [
    "DuplicateMessageError",
    "FanOutError",
    "FanOutFailure",
    "FullPipeline",
    "MinikafkaError",
    "Pipeline",
    "Record",
    "SchemaMismatchError",
    "Source",
    "Topic",
    "__version__",
]
