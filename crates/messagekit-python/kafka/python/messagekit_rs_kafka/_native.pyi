"""Records of Kafka in the order of their time."""

from messagekit_rs._native import Replay as OfFile

class NativeError(Exception): ...

class Replay(OfFile):
    @staticmethod
    def kafka(properties: dict[str, str], settings: dict[str, object]) -> Replay: ...
