"""Topics and pipelines: the names of minikafka, with the same arguments and results."""

from ._errors import DuplicateMessageError, FanOutError, FanOutFailure, MinikafkaError, SchemaMismatchError
from ._pipeline import FullPipeline, Pipeline
from ._record import Record
from ._retention import Retention
from ._source import Source
from ._topic import Topic

__all__ = [
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
