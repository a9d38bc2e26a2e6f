-- Typed topics.

-- What a topic was made with. schema: the JSON Schema of its records, NULL for any object. shape: its normal form. dedup: a JSON list
-- of the fields that no two records may have in common. key: the field that is the key of a record.
CREATE TABLE messagekit_topic_definitions (
  topic_id   INTEGER PRIMARY KEY REFERENCES messagekit_topics (id),
  schema     TEXT CHECK (json_valid(schema)),
  shape      TEXT CHECK (json_valid(shape)),
  dedup      TEXT NOT NULL CHECK (json_valid(dedup)),
  key        TEXT,
  created_at INTEGER NOT NULL,
  CHECK ((schema IS NULL) = (shape IS NULL))
) STRICT;

-- The ids of records of defined topics, from 1 in the order of the appends: a row for neighbours, which have neighbouring ids. The
-- last row stays, so that no id is given twice.
CREATE TABLE messagekit_record_ids (
  first_id INTEGER PRIMARY KEY,
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL UNIQUE,
  length   INTEGER NOT NULL CHECK (length > 0)
) STRICT;

CREATE INDEX messagekit_record_ids_topic ON messagekit_record_ids (topic_id, first_id);

-- What a topic has taken: the SHA-256 of the fields that no two records may have in common. It outlives its record.
CREATE TABLE messagekit_dedup_hashes (
  topic_id  INTEGER NOT NULL,
  hash      TEXT NOT NULL,
  record_id INTEGER NOT NULL,
  PRIMARY KEY (topic_id, hash)
) STRICT, WITHOUT ROWID;
