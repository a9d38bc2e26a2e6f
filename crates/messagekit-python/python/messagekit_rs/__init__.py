"""Typed topics and pipelines in one SQLite file."""

from importlib.metadata import version as _version

from . import topics as _topics
from .topics import *

__version__ = _version("messagekit-rs")

__all__ = ["__version__"]
__all__ += _topics.__all__
