-- Everything the engine keeps in a file. The file is the user's too, so every name has a prefix.
-- Times are microseconds since 1970-01-01 UTC, by the clock of this machine. Names are interned: a topic or consumer is
-- a small integer wherever rows are many.

CREATE TABLE messagekit_consumers (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- partitions = 0: known by name only, because a consumer of this file reads it elsewhere.
CREATE TABLE messagekit_topics (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL DEFAULT 0 CHECK (partitions BETWEEN 0 AND 1024)
) STRICT;

CREATE TABLE messagekit_topic_partitions (
  id          INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
  topic_id    INTEGER NOT NULL REFERENCES messagekit_topics (id),
  partition   INTEGER NOT NULL CHECK (partition >= 0),
  next_offset INTEGER NOT NULL DEFAULT 0 CHECK (next_offset BETWEEN 0 AND 1099511627775),
  log_start   INTEGER NOT NULL DEFAULT 0 CHECK (log_start BETWEEN 0 AND next_offset),
  UNIQUE (topic_id, partition)
) STRICT;

-- pos = messagekit_topic_partitions.id << 40 | offset: one B-tree in which a partition is a range.
-- The columns hold the headers that every event has; `headers` holds the others, as a list of pairs, and also one that
-- has a column but stands in another place or is not text. The payload is last: reading a column before it skips it.
CREATE TABLE messagekit_topic_records (
  pos          INTEGER PRIMARY KEY,
  event_id     TEXT,
  event_type   TEXT,
  key          BLOB,
  content_type TEXT,
  traceparent  TEXT,
  created_at   INTEGER NOT NULL,
  headers      TEXT,
  payload      BLOB NOT NULL CHECK (length(payload) <= 16777216)
) STRICT;

CREATE INDEX messagekit_topic_records_event ON messagekit_topic_records (event_id) WHERE event_id IS NOT NULL;

-- outcome: 0 done, 1 held (a dead letter is open), 2 discarded.
CREATE TABLE messagekit_processed_messages (
  consumer_id  INTEGER NOT NULL,
  message_id   TEXT NOT NULL,
  generation   INTEGER NOT NULL DEFAULT 0,
  outcome      INTEGER NOT NULL CHECK (outcome IN (0, 1, 2)),
  processed_at INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id)
) STRICT, WITHOUT ROWID;

-- How far a consumer has come in topics of any broker; only grows.
CREATE TABLE messagekit_consumer_offsets (
  consumer_id INTEGER NOT NULL,
  topic_id    INTEGER NOT NULL,
  partition   INTEGER NOT NULL,
  strand      INTEGER NOT NULL DEFAULT 0,
  next        INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, topic_id, partition, strand)
) STRICT, WITHOUT ROWID;

-- Where a consumer reads on in topics of this file. Moved only from the value its owner knows: the fence.
CREATE TABLE messagekit_consumer_cursors (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL CHECK (next >= 0),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;

-- place_topic is null when it is the topic. due is also the end of a lease; running_since is set while one runs.
CREATE TABLE messagekit_dead_letters (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  consumer_id   INTEGER NOT NULL,
  message_id    TEXT NOT NULL,
  topic         TEXT NOT NULL,
  place_topic   TEXT,
  partition     INTEGER,
  offset        INTEGER,
  event_type    TEXT,
  state         TEXT NOT NULL CHECK (state IN ('retrying', 'dead', 'replaying', 'resolved')),
  attempts      INTEGER NOT NULL CHECK (attempts >= 0),
  kills         INTEGER NOT NULL DEFAULT 0,
  due           INTEGER,
  running_since INTEGER,
  token         INTEGER NOT NULL DEFAULT 0,
  generation    INTEGER NOT NULL DEFAULT 0,
  kind          TEXT NOT NULL,
  error         TEXT NOT NULL,
  fingerprint   TEXT NOT NULL,
  set_aside_at  INTEGER NOT NULL,
  changed_at    INTEGER NOT NULL,
  key           BLOB,
  headers       TEXT NOT NULL,
  payload       BLOB NOT NULL,
  UNIQUE (consumer_id, message_id),
  CHECK ((due IS NOT NULL) = (state IN ('retrying', 'replaying'))),
  CHECK (running_since IS NULL OR due IS NOT NULL)
) STRICT;

CREATE INDEX messagekit_dead_letters_due ON messagekit_dead_letters (consumer_id, due)
  WHERE state IN ('retrying', 'replaying');
