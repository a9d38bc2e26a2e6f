"""Bad input: the error says what to do, and nothing is half done."""

from __future__ import annotations

import os
import sqlite3
import warnings
from dataclasses import dataclass
from typing import Any

import pytest
from conftest import Item, item
from pydantic import BaseModel, ValidationError

from messagekit_rs.topics import Source


class Anything(BaseModel):
    value: Any


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), -float("inf"), "\ud800", 2**64, -(2**63) - 1, [{"deep": 10**30}], {"\udfff": 1}],
    ids=["nan", "inf", "-inf", "surrogate", "2**64", "-2**63-1", "deep", "key"],
)
def test_what_json_cannot_hold_is_a_value_error(source, value):
    topic = source.topic("anything", Anything, dedup=None)
    with pytest.raises(ValueError):
        topic.extend([{"value": 1}, {"value": value}])
    assert topic.count() == 0


@pytest.mark.parametrize("path", ["sqlite:items.db", "file:items.db", "postgres://me:secret@localhost/db"])
def test_a_url_is_no_path_of_a_file(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="path is a URL") as refused:
        Source(path)
    assert "secret" not in str(refused.value)
    for other in (5, None, b"items.db"):
        with pytest.raises(TypeError, match="path must be"):
            Source(other)
    assert list(tmp_path.iterdir()) == []


def test_one_dedup_field_may_be_named_alone(source):
    topic = source.topic("alone", Item, dedup="url")
    assert (topic.append_if_new(item(1)), topic.append_if_new(item(1))) == (True, False)


@pytest.mark.parametrize("value", [2**63, -(2**63), "\x00", "a\x00b\U0001f600", 1e308, [], {}, None, True])
def test_what_json_can_hold_comes_back(source, value):
    topic = source.topic("anything", Anything, dedup=["value"])
    topic.append({"value": value})
    assert list(topic.iter_new(as_dict=True)) == [{"value": value}]


@dataclass
class Point:
    x: int


class Track(BaseModel):
    points: list[Point]


def test_an_instance_with_a_wrong_type_is_refused(source):
    points = source.topic("points", Point, dedup=None)
    tracks = source.topic("tracks", Track, dedup=None)
    items = source.topic("items", Item, dedup=None)
    for topic, value in [
        (points, Point(x="no integer")),
        (points, Point(x=None)),
        (tracks, Track.model_construct(points=[Point(x=1.5)])),
        (items, Item.model_construct(url="u", title=7)),
        (items, Item.model_construct(url="u")),
    ]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(ValidationError):
                topic.extend([value])
        assert topic.count() == 0
    tracks.append({"points": [Point(x="1")]})
    assert list(tracks.iter_new(as_dict=True)) == [{"points": [{"x": 1}]}]
    failing = points.pipe(lambda point: Item.model_construct(url=point.x, title="t")).to(items)
    points.append(Point(x=1))
    with pytest.raises(ValidationError):
        failing.run()
    assert [point.x for point in points.iter_new()] == [1]
    assert items.count() == 0


def test_a_record_over_the_limit_is_refused(source):
    topic = source.topic("anything", Anything, dedup=None)
    with pytest.raises(ValueError, match="limit"):
        topic.append({"value": "x" * 70_000_000})
    assert topic.count() == 0


@pytest.mark.parametrize("name", ["", "no good name", "a\x00b", "x" * 300])
def test_a_name_that_no_topic_can_have_is_refused(source, name):
    with pytest.raises(ValueError):
        source.topic(name, Item, dedup=None)


def test_wrong_rules_are_refused(source):
    with pytest.raises(ValueError, match="partitions"):
        source.topic("items", Item, dedup=None, partitions=0)
    with pytest.raises(ValueError, match="guard"):
        source.topic("items", Item, dedup=None, guard="loose")
    with pytest.raises(ValueError, match="key field"):
        source.topic("items", Item, dedup=None, key="link")


def test_a_file_that_is_no_database_is_refused(path):
    path.write_bytes(b"plain text, and not a database at all" * 200)
    with pytest.raises(sqlite3.DatabaseError):
        Source(path)
    assert path.read_bytes().startswith(b"plain text")


def test_a_folder_that_is_missing_is_named(tmp_path):
    with pytest.raises((sqlite3.Error, ValueError), match="missing"):
        Source(tmp_path / "missing" / "items.db")


def test_a_newer_schema_is_refused(path):
    connection = sqlite3.connect(path)
    connection.executescript(
        "CREATE TABLE messagekit_schema (version INTEGER PRIMARY KEY, name TEXT, applied_at INTEGER);"
        "INSERT INTO messagekit_schema VALUES (99, 'later', 0)"
    )
    connection.close()
    with pytest.raises(sqlite3.DatabaseError, match="upgrade"):
        Source(path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_process_is_refused_and_does_not_hang(path):
    source = Source(path)
    items = source.topic("items", Item, dedup=None)
    child = os.fork()
    if child == 0:
        refused = 0
        for use in (lambda: items.append(item(1)), lambda: Source(path)):
            try:
                use()
            except RuntimeError as error:
                refused += "forked" in str(error)
        os._exit(2 - refused)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    items.append(item(1))
    assert items.count() == 1
