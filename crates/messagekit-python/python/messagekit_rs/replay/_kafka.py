"""The package with Kafka's client, which is installed for itself: it is as large as all the rest."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from .._native import NativeError

if TYPE_CHECKING:
    from messagekit_rs_kafka._native import Replay


def reader_of_kafka() -> type[Replay]:
    """Return the reader of Kafka.

    Raises an ``ImportError`` that says how the package is installed, if it is not there or of another version.
    """
    ours, found = version_of("messagekit-rs"), version_of("messagekit-rs-kafka")
    install = f"pip install 'messagekit-rs[kafka]{'' if ours is None else '==' + ours}'"
    if ours != found and None not in (ours, found):
        text = f"messagekit-rs-kafka {found} is installed beside messagekit-rs {ours}: {install}"
        raise ImportError(text, name="messagekit_rs_kafka")
    try:
        from messagekit_rs_kafka import _native
    except ModuleNotFoundError as error:
        if error.name != "messagekit_rs_kafka":
            raise
        raise ImportError(f"messagekit-rs-kafka is missing: {install}", name=error.name) from None
    return _native.Replay


def version_of(package: str) -> str | None:
    """Return the version of a package, and ``None`` where packages are copied without what describes them."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def native_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions of the extensions that are loaded."""
    kafka = sys.modules.get("messagekit_rs_kafka._native")
    # Another thread may be about to load it.
    return (NativeError, getattr(kafka, "NativeError", NativeError))
