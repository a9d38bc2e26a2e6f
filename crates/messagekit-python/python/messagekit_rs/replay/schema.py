"""The schemas of batches. ``MESSAGE_SCHEMA`` and ``PARTITION_STATE_SCHEMA`` are made when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import _native

if TYPE_CHECKING:
    import pyarrow

    MESSAGE_SCHEMA: pyarrow.Schema
    PARTITION_STATE_SCHEMA: pyarrow.Schema

__all__ = ["MESSAGE_SCHEMA", "PARTITION_STATE_SCHEMA", "get_message_schema", "get_partition_state_schema"]


def needs_pyarrow() -> None:
    """Raise an ``ImportError`` that says how pyarrow is installed, if it is not there."""
    try:
        import pyarrow as _
    except ImportError as error:
        raise ImportError("pyarrow is missing: pip install 'messagekit-rs[replay]'", name="pyarrow") from error


def get_message_schema() -> pyarrow.Schema:
    """Return the schema of the batches of ``ConsumerManager.poll``: key, value, topic, partition, offset and timestamp."""
    needs_pyarrow()
    return _native.message_schema()


def get_partition_state_schema() -> pyarrow.Schema:
    """Return the schema of ``ConsumerManager.partition_state``."""
    needs_pyarrow()
    return _native.partition_state_schema()


def __getattr__(name: str) -> Any:
    # Only now: pyarrow is not required by the rest of the package.
    made = {"MESSAGE_SCHEMA": get_message_schema, "PARTITION_STATE_SCHEMA": get_partition_state_schema}.get(name)
    if made is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return globals().setdefault(name, made())
