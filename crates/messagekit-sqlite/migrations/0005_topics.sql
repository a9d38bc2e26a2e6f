-- Typed topics.

-- What a topic was made with. schema: the JSON Schema of its records, NULL for any object. shape: its normal form. dedup: a JSON list
-- of the fields that no two records may have in common. key: the field that is the key of a record.
-- version: how often the topic was migrated; a program that knows another one must not append. max_age (in microseconds), max_bytes
-- (of each partition), keep_unhandled: its retention rule, if any of them is set.
CREATE TABLE messagekit_topic_definitions (
  topic_id   INTEGER PRIMARY KEY REFERENCES messagekit_topics (id),
  schema     TEXT CHECK (json_valid(schema)),
  shape      TEXT CHECK (json_valid(shape)),
  dedup      TEXT NOT NULL CHECK (json_valid(dedup)),
  key        TEXT,
  version    INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  max_age        INTEGER CHECK (max_age > 0),
  max_bytes      INTEGER CHECK (max_bytes > 0),
  keep_unhandled INTEGER NOT NULL DEFAULT 0 CHECK (keep_unhandled IN (0, 1)),
  CHECK ((schema IS NULL) = (shape IS NULL))
) STRICT;

-- The keys and payloads that a partition keeps; NULL until its topic gets a rule that asks for it.
ALTER TABLE messagekit_topic_partitions ADD COLUMN bytes INTEGER;

-- expired: how many records retention deleted before the consumer had handled them. by_record: the consumer handles records one by one,
-- so that its marker of a record is of no use when the record is deleted.
ALTER TABLE messagekit_consumer_cursors ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;
ALTER TABLE messagekit_consumer_cursors ADD COLUMN by_record INTEGER NOT NULL DEFAULT 0 CHECK (by_record IN (0, 1));

-- The ids of records of defined topics, from 1 in the order of the appends: a row for neighbours, which have neighbouring ids. The
-- last row stays, so that no id is given twice.
CREATE TABLE messagekit_record_ids (
  first_id INTEGER PRIMARY KEY,
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL UNIQUE,
  length   INTEGER NOT NULL CHECK (length > 0)
) STRICT;

CREATE INDEX messagekit_record_ids_topic ON messagekit_record_ids (topic_id, first_id);

-- What a topic has taken: the hash of the fields that no two records may have in common, as bytes. It outlives its record.
CREATE TABLE messagekit_dedup_hashes (
  topic_id  INTEGER NOT NULL,
  hash      BLOB NOT NULL,
  record_id INTEGER NOT NULL,
  PRIMARY KEY (topic_id, hash)
) STRICT, WITHOUT ROWID;

-- The records of a topic in their next form, until the migration that writes them swaps all at once. What
-- another migration has left, or writes late, is not its own.
CREATE TABLE messagekit_topic_migrations (
  topic_id  INTEGER NOT NULL,
  migration TEXT NOT NULL,
  pos       INTEGER NOT NULL,
  record_id INTEGER NOT NULL,
  key       BLOB,
  payload   BLOB NOT NULL,
  hash      BLOB,
  PRIMARY KEY (topic_id, migration, pos)
) STRICT, WITHOUT ROWID;
