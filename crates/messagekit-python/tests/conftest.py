"""What the tests share: models, a source, and an observer that writes down what it hears."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from messagekit_rs.topics import Source
from brokers import Brokers
from server import Server


class Item(BaseModel):
    url: str
    title: str
    score: float = 0.0


class Short(BaseModel):
    url: str


class Word(BaseModel):
    text: str


def item(number: int, title: str = "one") -> Item:
    return Item(url=f"https://example.org/{number}", title=title, score=number / 4)


class Observer:
    def __init__(self) -> None:
        self.heard: list[tuple[str, dict]] = []

    def __call__(self, event: str, **kwargs: object) -> None:
        self.heard.append((event, kwargs))

    def names(self) -> list[str]:
        return [event for event, _ in self.heard]


@pytest.fixture
def source():
    with Source(":memory:") as source:
        yield source


@pytest.fixture
def observer() -> Observer:
    return Observer()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "items.db"


@pytest.fixture
def server(tmp_path):
    server = Server(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def brokers() -> Brokers:
    return Brokers()
