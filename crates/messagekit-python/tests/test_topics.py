"""Topics: their schema, appending, reading, handling."""

from __future__ import annotations

import dataclasses
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from conftest import Item, Short, item
from pydantic import BaseModel, Field, ValidationError

import messagekit_rs
from messagekit_rs.topics import DuplicateMessageError, Record, Retention, SchemaMismatchError, Source


def test_a_topic_is_opened_again_whatever_the_order_of_its_dedup_fields(source):
    first = source.topic("items", Item, dedup=("url", "title"))
    again = source.topic("items", Item, dedup=["title", "url"])
    assert (first.name, again.name, again.model) == ("items", "items", Item)
    assert repr(again) == "Topic(name='items', model=Item)"


def test_a_model_of_another_structure_is_refused_with_the_fields_that_differ(path):
    Source(path).topic("items", Item, dedup=None)
    with pytest.raises(SchemaMismatchError, match="different schema.*title is string there and missing here"):
        Source(str(path)).topic("items", Short, dedup=None)


class Price(BaseModel):
    value: float


def test_a_number_keeps_its_digits(source):
    prices = source.topic("prices", Price, dedup=None)
    # As another program writes it.
    prices._native.extend(['{"value": 12345678901234567890.123456789}', '{"value": 0.5}'])
    assert [price.value for price in prices.iter_new()] == [12345678901234567890.123456789, 0.5]
    dicts = list(prices.iter_new(as_dict=True))
    assert dicts == [{"value": Decimal("12345678901234567890.123456789")}, {"value": 0.5}]
    assert type(dicts[1]["value"]) is float


class Reading(BaseModel):
    at: Any


def test_equal_numbers_are_duplicates(source):
    readings = source.topic("readings", Reading, dedup=["at"])
    assert readings.append_if_new({"at": 5})
    for same in [5.0, 5, 5e0]:
        assert not readings.append_if_new({"at": same})
    assert readings.append_if_new({"at": 5.5})
    assert readings.append_if_new({"at": "5"})


def test_the_name_and_docs_of_a_model_are_no_part_of_its_structure(source):
    class Renamed(BaseModel):
        """The same fields."""

        title: str = Field(description="its title")
        url: str
        score: float = 0.0

    source.topic("items", Item, dedup=None)
    assert source.topic("items", Renamed, dedup=None).model is Renamed


def test_another_dedup_rule_is_refused(source):
    source.topic("items", Item, dedup=("url",))
    for dedup in (None, ("title",), ("url", "title")):
        with pytest.raises(SchemaMismatchError, match="different dedup config"):
            source.topic("items", Item, dedup=dedup)


def test_dedup_must_be_said_and_its_fields_must_exist_once(source):
    with pytest.raises(TypeError, match="dedup"):
        source.topic("items", Item)
    with pytest.raises(TypeError):
        source.topic("items")
    with pytest.raises(ValueError, match="not present.*link"):
        source.topic("items", Item, dedup=("link",))
    with pytest.raises(ValueError, match="unique"):
        source.topic("items", Item, dedup=("url", "url"))


@pytest.mark.parametrize("model", [item(1), "Item", int, dict[str, int], None])
def test_a_model_is_a_class_with_fields(source, model):
    with pytest.raises(TypeError, match="BaseModel class"):
        source.topic("items", model, dedup=None)


def test_a_model_without_a_json_schema_is_refused(source):
    class Opaque(BaseModel, arbitrary_types_allowed=True):
        connection: sqlite3.Connection

    with pytest.raises(TypeError, match="has no JSON schema"):
        source.topic("opaque", Opaque, dedup=None)


def test_a_record_comes_back_as_it_was_appended(source):
    items = source.topic("items", Item, dedup=("url",))
    before = datetime.now(timezone.utc)
    assert items.append({"url": "u", "title": "t", "score": "0.25"}) == Item(url="u", title="t", score=0.25)
    assert list(items.iter_new()) == [Item(url="u", title="t", score=0.25)]
    assert list(items.iter_new(as_dict=True)) == [{"score": 0.25, "title": "t", "url": "u"}]
    (record,) = items.iter_new(records=True)
    assert isinstance(record, Record)
    assert (record.id, record.topic, record.status, record.handled_at) == (1, "items", "new", None)
    assert before.replace(microsecond=0) <= record.created_at <= datetime.now(timezone.utc)
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.id = 2
    with pytest.raises(ValueError, match="both"):
        list(items.iter_new(records=True, as_dict=True))


def test_hashes_are_those_that_python_computes(source):
    import hashlib
    import json

    items = source.topic("items", Item, dedup=("url",))
    items.append(item(1, "größer \U0001f600"))
    (record,) = items.iter_new(records=True)

    def hashed(value: object) -> str:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    assert record.payload_hash == hashed(record.data.model_dump())
    assert record.dedup_hash == hashed({"url": "https://example.org/1"})


def test_what_does_not_fit_and_what_is_known_is_refused(source):
    items = source.topic("items", Item, dedup=("url",))
    with pytest.raises(ValidationError):
        items.append({"url": "u"})
    items.append(item(1))
    with pytest.raises(DuplicateMessageError) as refused:
        items.append(item(1, "another title"))
    assert refused.value.existing == 1
    assert items.append_if_new(item(1)) is False
    assert items.append_if_new(item(2)) is True
    assert items.count() == 2


def test_all_of_an_extension_or_none(source):
    items = source.topic("items", Item, dedup=("url",))
    with pytest.raises(DuplicateMessageError):
        items.extend([item(1), item(2), item(1)])
    with pytest.raises(ValidationError):
        items.extend([item(1), {"url": "u"}])
    assert items.count() == 0
    assert items.extend(item(number) for number in (1, 2)) == [item(1), item(2)]
    assert items.extend_if_new([item(2), item(3), item(3)]) == [False, True, False]
    assert [record.id for record in items.iter_new(records=True)] == [1, 2, 3]


def test_handled_records_are_no_longer_new(source):
    items = source.topic("items", Item, dedup=None)
    items.extend([item(1), item(2), item(3)])
    first, second, _ = items.iter_new(records=True)
    first.ack()
    items.set_handled(second.id)
    assert [record.data for record in items.iter_new(records=True)] == [item(3)]
    handled = list(items.iter_handled(records=True))
    assert [(record.id, record.status) for record in handled] == [(1, "handled"), (2, "handled")]
    items.set_handled(record=first)
    refreshed = next(iter(items.iter_handled(records=True)))
    assert refreshed.handled_at > handled[0].handled_at
    assert (items.count(), items.count("new"), items.count("handled"), items.count("dead")) == (3, 1, 2, 0)


def test_what_cannot_be_handled_says_so(source):
    items = source.topic("items", Item, dedup=None)
    with pytest.raises(ValueError, match="requires"):
        items.set_handled()
    with pytest.raises(KeyError, match="no such record"):
        items.set_handled(7)
    unbound = Record(1, "items", datetime.now(timezone.utc), None, "new", "", None, item(1))
    with pytest.raises(RuntimeError, match="belongs to no topic"):
        unbound.ack()
    with pytest.raises(ValueError, match="status"):
        items.count("old")


def test_ids_count_over_all_topics_of_a_file(source):
    items, short = source.topic("items", Item, dedup=None), source.topic("short", Short, dedup=None)
    items.append(item(1))
    short.append({"url": "u"})
    items.append(item(2))
    assert [record.id for record in items.iter_new(records=True)] == [1, 3]


def test_consumers_read_the_same_records_apart(source):
    items = source.topic("items", Item, dedup=None)
    items.append(item(1))
    other = items.named("summaries")
    next(other.iter_new(records=True)).ack()
    assert (items.count("new"), other.count("new")) == (1, 0)


def test_a_long_topic_is_read_in_pages_and_may_be_left(source):
    items = source.topic("items", Item, dedup=None)
    items.extend(item(number) for number in range(1_000))
    assert len(list(items.iter_new())) == 1_000
    reading = items.iter_new()
    assert next(reading) == item(0)
    reading.close()
    items.append(item(1_000))
    assert items.count() == 1_001


def test_dataclasses_are_models_too(path):
    @dataclasses.dataclass
    class Point:
        x: int
        y: int | None = None

    with Source(path) as source:
        points = source.topic("points", Point, dedup=["x"])
        assert points.append({"x": 1}) == Point(1, None)
        points.append(Point(2, 3))
        with pytest.raises(ValidationError):
            points.append({"x": "one"})
        assert list(points.iter_new()) == [Point(1, None), Point(2, 3)]

    class Model(BaseModel):
        x: int
        y: int | None = None

    with Source(path) as source:
        assert source.topic("points", Model, dedup=["x"]).count() == 2


def test_fields_with_aliases_come_back(source):
    class Aliased(BaseModel):
        inner: int = Field(alias="outer")

    topic = source.topic("aliased", Aliased, dedup=["inner"])
    topic.append({"outer": 1})
    assert [value.inner for value in topic.iter_new()] == [1]
    with pytest.raises(DuplicateMessageError):
        topic.append({"outer": 1})


def test_partitions_keep_the_records_of_a_key_together(source):
    items = source.topic("items", Item, dedup=None, key="title", partitions=4)
    items.extend(item(number, f"title {number % 7}") for number in range(70))
    partitions = {}
    for record in items.iter_new(records=True):
        partitions.setdefault(record.data.title, set()).add(record.partition)
    assert len(partitions) == 7 and all(len(of_key) == 1 for of_key in partitions.values())
    assert len(set.union(*partitions.values())) > 1


def test_a_migration_keeps_what_records_are(source):
    items = source.topic("items", Item, dedup=("url",))
    items.extend([item(1), item(2)])
    next(items.iter_new(records=True)).ack()
    short = items.migrate(Short, lambda old: {"url": old.url})
    assert (short.model, short.name) == (Short, "items")
    assert [(record.id, record.status) for record in short.iter_handled(records=True)] == [(1, "handled")]
    assert list(short.iter_new()) == [Short(url="https://example.org/2")]
    with pytest.raises(SchemaMismatchError, match="migrated"):
        items.append(item(3))


def test_a_migration_that_fails_leaves_the_topic_as_it_was(source):
    items = source.topic("items", Item, dedup=("url",))
    items.extend([item(1), item(2)])
    with pytest.raises(ValidationError):
        items.migrate(Short, lambda old: {"title": old.title})
    own = RuntimeError("not this one")

    def fails(_):
        raise own

    with pytest.raises(RuntimeError) as raised:
        items.migrate(Short, fails)
    assert raised.value is own
    with pytest.raises(DuplicateMessageError):
        items.migrate(Short, lambda _: {"url": "the same"})

    class Other(BaseModel):
        link: str

    with pytest.raises(ValueError, match="url"):
        items.migrate(Other, lambda old: {"link": old.url})
    with pytest.raises(TypeError, match="new_model must be"):
        items.migrate(dict, lambda old: {})
    assert list(items.iter_new()) == [item(1), item(2)]


def test_a_frame_of_flat_records(source):
    polars = pytest.importorskip("polars")
    items = source.topic("items", Item, dedup=None)
    items.extend([item(1), item(2)])
    items.set_handled(1)
    frame = items.to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert (frame.shape, frame["title"].to_list()) == ((2, 3), ["one", "one"])

    class Nested(BaseModel):
        tags: list[str]

    nested = source.topic("nested", Nested, dedup=None)
    nested.append({"tags": ["a"]})
    with pytest.raises(ValueError, match="flat payloads.*tags"):
        nested.to_polars()


def test_observers_hear_after_the_commit_on_the_thread_of_the_caller(observer):
    import threading

    threads = set()

    def hears(event, **kwargs):
        threads.add(threading.get_ident())
        observer(event, **kwargs)
        if event == "message_appended":
            # What it hears of is there, and it may call again.
            assert items.count() == len([name for name in observer.names() if name == event])

    source = Source(":memory:", on_event=hears)
    items = source.topic("items", Item, dedup=("url", "title"))
    items.append(item(1))
    items.extend([item(2), item(3)])
    items.append_if_new(item(1))
    items.set_handled(2)
    source.topic("items", Item, dedup=("url", "title"))
    assert observer.heard == [
        ("topic_created", {"name": "items", "model": "Item", "dedup": ("title", "url")}),
        *(("message_appended", {"topic": "items", "payload": item(number).model_dump()}) for number in (1, 2, 3)),
        ("message_handled", {"topic": "items", "id": 2}),
    ]
    assert threads == {threading.get_ident()}


def test_what_an_observer_raises_is_dropped():
    def fails(event, **kwargs):
        raise RuntimeError("a broken observer")

    source = Source(":memory:", on_event=fails)
    items = source.topic("items", Item, dedup=None)
    items.append(item(1))
    items.set_handled(1)
    assert items.count("handled") == 1


def test_a_source_is_closed_with_its_block(path):
    class Boom(Exception):
        pass

    with pytest.raises(Boom), Source(path) as source:
        items = source.topic("items", Item, dedup=None)
        items.append(item(1))
        raise Boom
    for use in (lambda: items.append(item(2)), lambda: list(items.iter_new()), lambda: source.topic("a", Item, dedup=None)):
        with pytest.raises(sqlite3.ProgrammingError):
            use()
    source.close()
    assert [file.name for file in path.parent.iterdir()] == [path.name], "one file is left"


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert messagekit_rs.__version__ == version("messagekit-rs")


def test_other_programs_check_a_file_and_restore_its_dump(path, tmp_path):
    Source(path).topic("items", Item, dedup=("url",)).append(item(1))
    with closing(sqlite3.connect(path)) as conn:
        # A topic that takes any object has no schema, and older versions of SQLite take json_valid(NULL) for false.
        conn.execute("INSERT INTO messagekit_topics (id, name, partitions) VALUES (7, 'events', 1)")
        conn.execute("INSERT INTO messagekit_topic_definitions (topic_id, dedup, created_at) VALUES (7, '[]', 0)")
        conn.commit()
        assert conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        script = "\n".join(conn.iterdump())
    restored = tmp_path / "restored.db"
    with closing(sqlite3.connect(restored)) as conn:
        conn.executescript(script)
    assert Source(restored).topic("items", Item, dedup=("url",)).count() == 1


def test_a_topic_keeps_what_its_retention_says(path):
    heard = []
    source = Source(path, on_event=lambda event, **kwargs: heard.append((event, kwargs)))
    items = source.topic("items", Item, dedup=("url",), retention=Retention(max_age=timedelta(days=7)))
    items.extend([item(number) for number in range(4)])
    items.set_handled(1)
    items.set_retention(Retention(max_bytes=1))
    assert items.expire() == 3
    assert [record.id for record in items.iter_new(records=True)] == [4]
    assert (items.count(), items.count("expired")) == (1, 2)
    assert heard[-1] == ("records_expired", {"topic": "items", "records": 2})
    assert not items.append_if_new(item(0))
    items.set_retention(Retention(keep_unhandled=True, unhandled_max_age=timedelta(days=7)))
    with pytest.raises(ValueError, match="only with keep_unhandled"):
        items.set_retention(Retention(max_bytes=1, unhandled_max_age=timedelta(days=7)))
    items.set_retention(Retention(keep_unhandled=True))
    items.extend([item(number) for number in range(4, 8)])
    assert (items.expire(), items.count()) == (0, 5)
    items.set_retention(None)
    for record in items.iter_new(records=True):
        record.ack()
    assert (items.expire(), items.count("handled")) == (0, 5)


@pytest.mark.parametrize("rule", [{}, {"max_age": timedelta(0)}, {"max_bytes": 0}, {"max_bytes": 2**63}])
def test_a_retention_that_keeps_nothing_is_refused(source, rule):
    with pytest.raises(ValueError, match="retention|max_"):
        source.topic("items", Item, dedup=None, retention=Retention(**rule))
    assert source.topic("items", Item, dedup=None).count() == 0


def test_commits_may_leave_the_flush_to_the_system(path):
    with Source(path, synchronous="normal") as source:
        source.topic("items", Item, dedup=None).append(item(1))
    with Source(path) as source:
        assert source.topic("items", Item, dedup=None).count() == 1
    with pytest.raises(ValueError, match="synchronous"):
        Source(path, synchronous="off")
