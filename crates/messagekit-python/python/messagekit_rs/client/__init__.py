"""Topics of a server over HTTP: a worker that needs neither the file nor the native part of this package.

The server is ``messagekit admin``. ``Consumer`` claims records for a group, handles them and acknowledges what it has handled; ``Client``
has single calls. Only the standard library is used.
"""

from ._client import Appended, Client, LatestOffset, SqlResult
from ._consumer import Consumer
from ._errors import (
    BadRequestError,
    ClaimLostError,
    ClientError,
    DuplicateError,
    ForbiddenError,
    InvalidRecordError,
    NotFoundError,
    OutOfRangeError,
    UnauthorizedError,
    UnavailableError,
)
from ._message import Message

__all__ = [
    "Appended",
    "BadRequestError",
    "ClaimLostError",
    "Client",
    "ClientError",
    "Consumer",
    "DuplicateError",
    "ForbiddenError",
    "InvalidRecordError",
    "LatestOffset",
    "Message",
    "NotFoundError",
    "OutOfRangeError",
    "SqlResult",
    "UnauthorizedError",
    "UnavailableError",
]
