"""The schemas of batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _native

if TYPE_CHECKING:
    import pyarrow


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
