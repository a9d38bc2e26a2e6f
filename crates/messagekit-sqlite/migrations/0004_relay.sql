-- What a relay needs that publishes topics of this file to a broker, and events that are not due yet.

-- leaves = 1: whatever is appended to the topic is also pending, for a relay to publish.
ALTER TABLE messagekit_topics ADD COLUMN leaves INTEGER NOT NULL DEFAULT 0 CHECK (leaves IN (0, 1));

-- The records that no broker has confirmed yet. A key's records share a shard. seq is the order in which they were
-- committed, because there is one writer, and is never given twice. By topic first: what a broker does not take at the
-- moment is passed over without a look.
CREATE TABLE messagekit_outbox_pending (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  shard    INTEGER NOT NULL CHECK (shard BETWEEN 0 AND 63),
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL,
  key_hash INTEGER,
  -- How often a broker has refused it.
  attempts INTEGER NOT NULL DEFAULT 0,
  ready_at INTEGER NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_pending_shard ON messagekit_outbox_pending (shard, topic_id, seq);

-- Records that a broker refused, with what it said, and the records of their key that wait behind them, without.
CREATE TABLE messagekit_outbox_rejected (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  seq         INTEGER NOT NULL UNIQUE,
  shard       INTEGER NOT NULL,
  topic_id    INTEGER NOT NULL,
  pos         INTEGER NOT NULL,
  key_hash    INTEGER,
  attempts    INTEGER NOT NULL,
  error       TEXT,
  rejected_at INTEGER NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_rejected_key ON messagekit_outbox_rejected (topic_id, key_hash, seq)
  WHERE key_hash IS NOT NULL;
CREATE INDEX messagekit_outbox_rejected_heads ON messagekit_outbox_rejected (id) WHERE error IS NOT NULL;

-- The relays that live.
CREATE TABLE messagekit_relay_members (
  name  TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who publishes which shard, for as long as its lease lasts. epoch grows when somebody else takes it, and when records were
-- put back into it.
CREATE TABLE messagekit_relay_shards (
  shard INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  owner TEXT,
  epoch INTEGER NOT NULL DEFAULT 0
) STRICT;

WITH RECURSIVE shards (shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM shards WHERE shard < 63)
INSERT INTO messagekit_relay_shards (shard) SELECT shard FROM shards;

-- Events that are not due yet: they have no place in their topic before. number is the order of those due at once.
CREATE TABLE messagekit_outbox_delayed (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  due      INTEGER NOT NULL,
  topic    TEXT NOT NULL,
  key      BLOB,
  headers  TEXT NOT NULL,
  payload  BLOB NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_delayed_due ON messagekit_outbox_delayed (due, number);
