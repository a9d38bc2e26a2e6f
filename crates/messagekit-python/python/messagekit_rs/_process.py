"""Which process the native part works in."""

from __future__ import annotations

import os

_first: int | None = None


def this_process() -> int:
    """Return the number of this process, which must not be a fork of one in which the native part works already."""
    global _first
    process = os.getpid()
    _first = _first or process
    if _first != process:
        # The threads of the native part do not exist here, and SQLite's locks are the parent's.
        raise RuntimeError("this process was forked from one that has opened a file or a reader: start it by 'spawn' or 'forkserver'")
    return process
