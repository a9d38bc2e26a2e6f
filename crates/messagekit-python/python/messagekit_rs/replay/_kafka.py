"""The package with Kafka's client, which is installed for itself: it is larger than all the rest."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING

from .. import __version__
from .._native import NativeError

if TYPE_CHECKING:
    from messagekit_rs_kafka import _native

INSTALL = f"pip install 'messagekit-rs[kafka]=={__version__}'"


def reader_of_kafka() -> type[_native.Replay]:
    """Return the reader of Kafka.

    Raises an ``ImportError`` that says how the package is installed, if it is not there or of another version.
    """
    try:
        from messagekit_rs_kafka import _native
    except ModuleNotFoundError as error:
        if error.name != "messagekit_rs_kafka":
            raise
        raise ImportError(f"messagekit-rs-kafka is missing: {INSTALL}", name=error.name) from None
    found = version("messagekit-rs-kafka")
    if found != __version__:
        text = f"messagekit-rs-kafka {found} is installed beside messagekit-rs {__version__}: {INSTALL}"
        raise ImportError(text, name="messagekit_rs_kafka")
    return _native.Replay


def native_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the extensions that are loaded."""
    kafka = sys.modules.get("messagekit_rs_kafka._native")
    return (NativeError,) if kafka is None else (NativeError, kafka.NativeError)
