"""Records of Kafka in the order of their time."""

from messagekit_rs._native import _Reader

class NativeError(Exception): ...

class Replay(_Reader):
    @staticmethod
    def kafka(properties: dict[str, str], settings: dict[str, object]) -> Replay: ...
