"""Files of minikafka: they are refused, and imported into another file."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from conftest import Short

from messagekit_rs.topics import MinikafkaError, Source

SCHEMA = """
CREATE TABLE topics (name TEXT PRIMARY KEY, schema_json TEXT NOT NULL, schema_hash TEXT NOT NULL,
  dedup_fields TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload_json TEXT NOT NULL,
  schema_hash TEXT NOT NULL, payload_hash TEXT NOT NULL, dedup_hash TEXT, created_at TEXT NOT NULL,
  handled_at TEXT, status TEXT NOT NULL CHECK (status IN ('new', 'handled')));
INSERT INTO topics VALUES ('items', '{"type":"object","title":"Short","properties":{"url":{"title":"Url","type":"string"}},"required":["url"]}',
  'h', '["url"]', '2026-01-01T00:00:00+00:00');
INSERT INTO messages (topic, payload_json, schema_hash, payload_hash, created_at, status) VALUES
  ('items', '{"url":"a"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'handled'),
  ('items', '{"url":"b"}', 'h', 'p', '2026-01-03T00:00:00+00:00', 'new');
"""


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    return path


def test_a_minikafka_file_is_refused_and_unchanged(old):
    before = old.read_bytes()
    with pytest.raises(MinikafkaError, match=r"file is of minikafka.*import_minikafka"):
        Source(old)
    assert old.read_bytes() == before


def test_a_minikafka_file_is_imported_once(old, path):
    with Source(path) as source:
        assert source.import_minikafka(old) == (1, 2)
        items = source.topic("items", Short, dedup=["url"])
        assert [item.url for item in items.iter_handled()] == ["a"]
        assert [item.url for item in items.iter_new()] == ["b"]
        with pytest.raises(MinikafkaError, match="has records already"):
            source.import_minikafka(old)
        assert items.count() == 2
        with pytest.raises(KeyError, match="no such minikafka file"):
            source.import_minikafka(path.with_name("none.db"))
