-- Everything that the engine keeps in a file: topics, relay, inbox, failed messages and the operators' tools, in that order.
-- The file is the user's too, so every name has a prefix. Times are microseconds since 1970-01-01 UTC, by the clock of this
-- machine. Names are interned: a topic or consumer is a small integer wherever rows are many.

CREATE TABLE messagekit_consumers (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;

-- # Topics

-- partitions = 0: known by name only, because a consumer of this file reads it elsewhere.
-- leaves = 1: each record that is appended to the topic is also pending, for a relay to publish.
CREATE TABLE messagekit_topics (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL DEFAULT 0 CHECK (partitions BETWEEN 0 AND 1024),
  leaves     INTEGER NOT NULL DEFAULT 0 CHECK (leaves IN (0, 1))
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
-- has a column but stands elsewhere or is not text. The payload is last: reading a column before it skips it.
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

-- Events that are not due yet: their topic gets them when they are. number is the order of those due at once.
CREATE TABLE messagekit_outbox_delayed (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  due     INTEGER NOT NULL,
  topic   TEXT NOT NULL,
  key     BLOB,
  headers TEXT NOT NULL,
  payload BLOB NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_delayed_due ON messagekit_outbox_delayed (due, number);

-- # Relay

-- A relay publishes topics of this file to a broker.

-- The records that no broker has confirmed yet. A key's records share a shard. seq is the order in which they were
-- committed, because there is one writer, and is never given twice. topic_id comes first inside a shard: records that a broker
-- does not take at the moment are passed over without a look. attempts: how often a broker has refused the record.
CREATE TABLE messagekit_outbox_pending (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  shard    INTEGER NOT NULL CHECK (shard BETWEEN 0 AND 63),
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL,
  key_hash INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  ready_at INTEGER NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_pending_shard ON messagekit_outbox_pending (shard, topic_id, seq);

-- Records that a broker refused, with its error, and the records of their key that wait behind them, without one.
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

-- The live relays.
CREATE TABLE messagekit_relay_members (
  name  TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The owner of each shard, as long as its lease lasts. epoch grows when another relay takes the shard, and when records are
-- put back into it.
CREATE TABLE messagekit_relay_shards (
  shard INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  owner TEXT,
  epoch INTEGER NOT NULL DEFAULT 0
) STRICT;

WITH RECURSIVE shards (shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM shards WHERE shard < 63)
INSERT INTO messagekit_relay_shards (shard) SELECT shard FROM shards;

-- # Inbox

-- outcome: 0 done, 1 held (a failed message is open), 2 discarded.
CREATE TABLE messagekit_processed_messages (
  consumer_id  INTEGER NOT NULL,
  message_id   TEXT NOT NULL,
  generation   INTEGER NOT NULL DEFAULT 0,
  outcome      INTEGER NOT NULL CHECK (outcome IN (0, 1, 2)),
  processed_at INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id)
) STRICT, WITHOUT ROWID;

-- How far a consumer has come in topics of any broker, by key lane (a lane of keys inside a partition); only grows.
CREATE TABLE messagekit_consumer_offsets (
  consumer_id INTEGER NOT NULL,
  topic_id    INTEGER NOT NULL,
  partition   INTEGER NOT NULL,
  key_lane      INTEGER NOT NULL DEFAULT 0,
  next        INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, topic_id, partition, key_lane)
) STRICT, WITHOUT ROWID;

-- Where a consumer reads on in topics of this file. Moved only from the value that its owner knows: the fence.
CREATE TABLE messagekit_consumer_cursors (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL CHECK (next >= 0),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;

-- How old a message may be for a consumer, as its processes say when they start. While one process replaces another, the
-- longer of their windows counts. complete_since: since when the markers of the consumer are complete, written by the
-- transaction that removes one. An older message without a marker may have been applied, also when the window is made longer.
CREATE TABLE messagekit_consumer_windows (
  consumer_id    INTEGER NOT NULL,
  seconds        INTEGER NOT NULL CHECK (seconds > 0),
  noted_at       INTEGER NOT NULL,
  complete_since INTEGER,
  PRIMARY KEY (consumer_id, seconds)
) STRICT, WITHOUT ROWID;

-- Runs of messages that may end their process: a row for each run that began, deleted with its answer. Two processes that
-- handle copies of a message have a row each, so that neither counts the other's run as a death.
CREATE TABLE messagekit_in_flight_attempts (
  consumer_id INTEGER NOT NULL,
  message_id  TEXT NOT NULL,
  runner    TEXT NOT NULL,
  noted_at    INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id, runner)
) STRICT, WITHOUT ROWID;

-- # Failed messages

-- A message that was set aside, whole. consumer_id: for a message that its broker kept, a scope among the consumers, `queue:` or
-- `topic:` and the name; return_to is where a retry of it goes. position_topic is NULL when it is the topic.
-- due is also the end of a lease; running_since stays set until a run has answered; token fences earlier leases.
-- parked = 1: the failed message takes part in the order of its key. State blocked: an open failed message of its key stands
-- before it. reason: why it is in its state, stored by the statement that changed the state. run_length: how many messages of the key ran together in the last lease. alone: how many, from here on, run one at a
-- time after a death.
CREATE TABLE messagekit_failed_messages (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  consumer_id   INTEGER NOT NULL,
  message_id    TEXT NOT NULL,
  topic         TEXT NOT NULL,
  position_topic   TEXT,
  partition     INTEGER,
  offset        INTEGER,
  event_type    TEXT,
  origin        TEXT NOT NULL DEFAULT 'store' CHECK (origin IN ('store', 'queue', 'topic')),
  return_to     TEXT,
  parked        INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1)),
  state         TEXT NOT NULL CHECK (state IN ('retry_scheduled', 'blocked', 'dead', 'retry_requested', 'resolved', 'discarded')),
  reason        TEXT NOT NULL
                CHECK (reason IN ('set_aside', 'key_blocked', 'key_freed', 'run_failed', 'retry_requested', 'requested_run_failed',
                                  'applied', 'discarded', 'discard_undone')),
  attempts      INTEGER NOT NULL CHECK (attempts >= 0),
  crash_count         INTEGER NOT NULL DEFAULT 0,
  run_length    INTEGER NOT NULL DEFAULT 1,
  alone         INTEGER NOT NULL DEFAULT 0,
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
  CHECK ((due IS NOT NULL) = (state IN ('retry_scheduled', 'retry_requested'))),
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (origin <> 'store' OR return_to IS NULL),
  CHECK (parked = 0 OR (key IS NOT NULL AND partition IS NOT NULL AND offset IS NOT NULL)),
  CHECK (parked = 1 OR state <> 'blocked')
) STRICT;

CREATE INDEX messagekit_failed_messages_due ON messagekit_failed_messages (consumer_id, due)
  WHERE state IN ('retry_scheduled', 'retry_requested');
CREATE INDEX messagekit_failed_messages_returns ON messagekit_failed_messages (origin, due)
  WHERE state IN ('retry_scheduled', 'retry_requested') AND origin <> 'store';
-- The keys that are held, each with its failed messages in order: what a claim asks, and what runs next. The last two columns
-- answer the condition, so that no look reads a failed message.
CREATE INDEX messagekit_failed_messages_key
  ON messagekit_failed_messages (consumer_id, topic, key, partition, offset, id, parked, state)
  WHERE parked = 1 AND state NOT IN ('resolved', 'discarded');
-- Totals, and the pages of one consumer or one state.
CREATE INDEX messagekit_failed_messages_consumer ON messagekit_failed_messages (consumer_id, state, id);
CREATE INDEX messagekit_failed_messages_fingerprint ON messagekit_failed_messages (fingerprint, id);

-- # Operations

-- Events of this file that failed elsewhere, as the failed messages of brokers tell.
CREATE TABLE messagekit_outbox_failures (
  event_id  TEXT NOT NULL,
  scope     TEXT NOT NULL,
  reason    TEXT NOT NULL,
  failed_at INTEGER NOT NULL,
  PRIMARY KEY (event_id, scope)
) STRICT, WITHOUT ROWID;

-- Records that a replay has appended again under the same id.
CREATE TABLE messagekit_topic_copies (
  pos          INTEGER PRIMARY KEY,
  original_pos INTEGER NOT NULL
) STRICT;

CREATE INDEX messagekit_topic_copies_original ON messagekit_topic_copies (original_pos);

-- Events that an operator wants published again. The first columns are the order. epoch counts up with each lease and fences
-- every earlier holder.
CREATE TABLE messagekit_replay_jobs (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  event_type   TEXT,
  topic        TEXT,
  key          TEXT,
  from_at      INTEGER,
  to_at        INTEGER,
  ids          TEXT NOT NULL CHECK (ids IN ('same', 'new')),
  per_second   INTEGER CHECK (per_second > 0),
  state        TEXT NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  events       INTEGER NOT NULL CHECK (events >= 0),
  published    INTEGER NOT NULL DEFAULT 0 CHECK (published BETWEEN 0 AND events),
  ordered_by   TEXT NOT NULL,
  ordered_at   INTEGER NOT NULL,
  changed_at   INTEGER NOT NULL,
  leased_until INTEGER,
  epoch        INTEGER NOT NULL DEFAULT 0,
  error        TEXT
) STRICT;

-- The events of a job that are not appended yet, in this order: taken out by the transaction that appends them.
CREATE TABLE messagekit_replay_items (
  job_id INTEGER NOT NULL REFERENCES messagekit_replay_jobs (id),
  number INTEGER NOT NULL,
  pos    INTEGER NOT NULL,
  PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- What operators did: a row for each act, written in its transaction. ids is a JSON list of failed messages, or of one replay;
-- done says for how many of them the act did something.
CREATE TABLE messagekit_admin_audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  acted_at   INTEGER NOT NULL,
  operator      TEXT NOT NULL,
  through    TEXT NOT NULL,
  request_id TEXT,
  action     TEXT NOT NULL,
  ids        TEXT NOT NULL,
  done       INTEGER NOT NULL
) STRICT;
