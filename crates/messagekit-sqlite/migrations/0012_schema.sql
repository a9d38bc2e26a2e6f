-- Everything that the engine keeps in a file: topics, relay, inbox, failed messages, the operators' tools and table sources, in that
-- order. The file is the user's too, so every name has a prefix. Times are microseconds since 1970-01-01 UTC, by the clock of this
-- machine. Names are interned: a topic or consumer is a small integer wherever rows are many.
-- A CHECK over JSON says what NULL means: some programs take json_valid(NULL) for false, and would call a sound file damaged.

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

-- What a topic was made with. schema: the JSON Schema of its records, NULL for any object. shape: its normal form. dedup: a JSON list
-- of the fields that no two records may have in common. key: the field that is the key of a record.
-- version: how often the topic was migrated; a program that knows another one must not append. max_age, max_bytes (of each partition),
-- keep_unhandled, unhandled_max_age: its retention rule, if any of them is set; ages are microseconds.
CREATE TABLE messagekit_topic_definitions (
  topic_id   INTEGER PRIMARY KEY REFERENCES messagekit_topics (id),
  schema     TEXT CHECK (schema IS NULL OR json_valid(schema)),
  shape      TEXT CHECK (shape IS NULL OR json_valid(shape)),
  dedup      TEXT NOT NULL CHECK (json_valid(dedup)),
  key        TEXT,
  version    INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL,
  max_age        INTEGER CHECK (max_age > 0),
  max_bytes      INTEGER CHECK (max_bytes > 0),
  keep_unhandled INTEGER NOT NULL DEFAULT 0 CHECK (keep_unhandled IN (0, 1)),
  unhandled_max_age INTEGER CHECK (unhandled_max_age > 0),
  CHECK ((schema IS NULL) = (shape IS NULL))
) STRICT;

-- bytes: the keys and payloads that the partition keeps; NULL until its topic gets a rule that asks for it.
CREATE TABLE messagekit_topic_partitions (
  id          INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
  topic_id    INTEGER NOT NULL REFERENCES messagekit_topics (id),
  partition   INTEGER NOT NULL CHECK (partition >= 0),
  next_offset INTEGER NOT NULL DEFAULT 0 CHECK (next_offset BETWEEN 0 AND 1099511627775),
  log_start   INTEGER NOT NULL DEFAULT 0 CHECK (log_start BETWEEN 0 AND next_offset),
  bytes       INTEGER,
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

-- The ids that tie an event to others, for events that have any; pos is that of its record. A table of its own, because a
-- column behind the payload of a record would be read through the payload. Copies of a replay have no row.
CREATE TABLE messagekit_event_links (
  pos            INTEGER PRIMARY KEY,
  correlation_id TEXT,
  causation_id   TEXT,
  replay_of      TEXT
) STRICT;

CREATE INDEX messagekit_event_links_correlation ON messagekit_event_links (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX messagekit_event_links_causation ON messagekit_event_links (causation_id) WHERE causation_id IS NOT NULL;
CREATE INDEX messagekit_event_links_replay ON messagekit_event_links (replay_of) WHERE replay_of IS NOT NULL;

-- Events that are not due yet: their topic gets them when they are. number is the order of those due at once. links: the ids that tie the
-- event to others, in the form of the headers.
CREATE TABLE messagekit_outbox_delayed (
  number   INTEGER PRIMARY KEY AUTOINCREMENT,
  due      INTEGER NOT NULL,
  topic    TEXT NOT NULL,
  event_id TEXT,
  links    TEXT,
  key      BLOB,
  headers  TEXT NOT NULL,
  payload  BLOB NOT NULL
) STRICT;

CREATE INDEX messagekit_outbox_delayed_due ON messagekit_outbox_delayed (due, number);
CREATE INDEX messagekit_outbox_delayed_event ON messagekit_outbox_delayed (event_id) WHERE event_id IS NOT NULL;

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
-- Whether a record is pending.
CREATE INDEX messagekit_outbox_pending_pos ON messagekit_outbox_pending (pos);

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
CREATE INDEX messagekit_outbox_rejected_pos ON messagekit_outbox_rejected (pos);

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

-- Where a consumer reads on in topics of this file. Moved only from the value that its owner knows: the fence. expired: how many records
-- retention deleted before the consumer had handled them. by_record: the consumer handles records one by one, so that its marker of a
-- record is of no use when the record is deleted.
CREATE TABLE messagekit_consumer_cursors (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL CHECK (next >= 0),
  expired     INTEGER NOT NULL DEFAULT 0,
  by_record   INTEGER NOT NULL DEFAULT 0 CHECK (by_record IN (0, 1)),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;

-- What a consumer has claimed in a partition behind its settled prefix. next is messagekit_consumer_cursors.next as of the last
-- claim: if the cursor differs, another reader of the consumer has moved it, and the claims are void. ranges is a JSON list, in
-- order and without gaps: from and to (exclusive) are offsets, attempts a number, state is "settled", or an object with the key
-- "claimed" (claim, holder, until, is_alone) or "waiting" (due, is_alone). Times are microseconds, as in every table.
CREATE TABLE messagekit_record_claims (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL,
  ranges      TEXT NOT NULL CHECK (json_valid(ranges)),
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

-- How far a consumer is with the past of its topics. frontier: the greatest time of the records that the consumer has handled in the order of time, in microseconds; NULL before the first
-- one. Only grows, and is_finished stays, until another priming begins. number: counts the primings of
-- the consumer. Each has positions of its own in messagekit_consumer_offsets, under the key lane 2147483648 + number, so that it resumes
-- where it was whatever the live consumer has handled.
CREATE TABLE messagekit_consumer_primings (
  consumer_id INTEGER PRIMARY KEY,
  frontier    INTEGER,
  is_finished INTEGER NOT NULL DEFAULT 0 CHECK (is_finished IN (0, 1)),
  number      INTEGER NOT NULL DEFAULT 1
) STRICT;

-- Types of messages that consumers have skipped, because they had no handler for them.
-- similar_to: the handled types of which this one may be a misspelling, as a list of JSON. first_at and last_at: when the messages were
-- noted, in microseconds.
CREATE TABLE messagekit_unhandled_types (
  consumer_id INTEGER NOT NULL,
  topic       TEXT NOT NULL,
  event_type  TEXT NOT NULL,
  similar_to  TEXT NOT NULL,
  messages    INTEGER NOT NULL,
  first_at    INTEGER NOT NULL,
  last_at     INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, topic, event_type)
) STRICT, WITHOUT ROWID;

-- # Failed messages

-- A message that was set aside, whole. consumer_id: for a message that its broker kept, a scope among the consumers, `queue:` or
-- `topic:` and the name; return_to is where a retry of it goes. position_topic is NULL when it is the topic.
-- due is also the end of a lease; running_since stays set until a run has answered; token fences earlier leases.
-- parked = 1: the failed message takes part in the order of its key. State blocked: an open failed message of its key stands
-- before it. reason: why it is in its state, stored by the statement that changed the state. run_length: how many messages of the key ran
-- together in the last lease. alone: how many, from here on, run one at a time after a death.
-- failed_runs: the last 20, oldest first: [{"at": microseconds, "attempt": 1, "error": "no", "instance": "host/1"}]. A run that ended
-- without a result has no error. leased_by: the token of a lease and the process that has it; the token tells whether it is the present
-- lease. Key, headers and payload are last: reading a column before them skips them.
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
  failed_runs   TEXT NOT NULL DEFAULT '[]',
  leased_by     TEXT,
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
-- done says for how many of them the act did something. event_id: the rejected event of an action, whose number is gone with it.
CREATE TABLE messagekit_admin_audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  acted_at   INTEGER NOT NULL,
  operator      TEXT NOT NULL,
  through    TEXT NOT NULL,
  request_id TEXT,
  action     TEXT NOT NULL,
  ids        TEXT NOT NULL,
  done       INTEGER NOT NULL,
  event_id   TEXT
) STRICT;

CREATE INDEX messagekit_admin_audit_event ON messagekit_admin_audit (event_id) WHERE event_id IS NOT NULL;

-- The numbers of each action, to find the actions of one of them: of a replay, and else of a failed message or a rejected event.
CREATE TABLE messagekit_admin_audit_ids (
  is_replay INTEGER NOT NULL CHECK (is_replay IN (0, 1)),
  id        INTEGER NOT NULL,
  audit_id  INTEGER NOT NULL,
  PRIMARY KEY (is_replay, id, audit_id)
) STRICT, WITHOUT ROWID;

-- # Table sources

-- A table of the user whose changes become events of a topic, by triggers that carry the number of the source. filter_sql, key_sql: the
-- expressions as the triggers evaluate them. key_columns: a JSON list of the columns of the primary key. form: that of the triggers, by
-- which a program knows those that a later one has made.
CREATE TABLE messagekit_table_sources (
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  topic       TEXT NOT NULL,
  table_name  TEXT NOT NULL COLLATE NOCASE,
  on_insert   INTEGER NOT NULL CHECK (on_insert IN (0, 1)),
  on_update   INTEGER NOT NULL CHECK (on_update IN (0, 1)),
  on_delete   INTEGER NOT NULL CHECK (on_delete IN (0, 1)),
  filter      TEXT,
  filter_sql  TEXT,
  payload     TEXT NOT NULL,
  key         TEXT,
  key_sql     TEXT,
  key_columns TEXT NOT NULL CHECK (json_valid(key_columns)),
  form        INTEGER NOT NULL DEFAULT 0,
  UNIQUE (topic, table_name),
  CHECK ((filter IS NULL) = (filter_sql IS NULL)),
  CHECK ((key IS NULL) = (key_sql IS NULL))
) STRICT;

-- Changes that wait for an offset, in the order in which they were made. It has no constraint: the conflict clause of a statement also
-- holds for its triggers, and INSERT OR IGNORE would keep the row and leave out its event. row, changes: JSON. changed_at: a Julian day.
CREATE TABLE messagekit_waiting_changes (
  number       INTEGER PRIMARY KEY,
  topic        TEXT,
  event_type   TEXT,
  source_table TEXT,
  key          TEXT,
  row          TEXT,
  changes      TEXT,
  actor        TEXT,
  changed_at   REAL
);

-- Rows in the way of a write, which REPLACE deletes without a trigger, with their events; noted before the write, and read after it.
-- row: NULL if the rules of the source leave no event. row_id: the number of the row, or the key of a row without a number. is_same: the
-- primary key is the same, and the event is an update. unique_key: its number among those of the table. in_common: what the written row
-- has in it, as one value. Between statements they mean nothing.
CREATE TABLE messagekit_replaced_rows (
  source_id  INTEGER,
  is_same    INTEGER,
  row_id,
  event_type TEXT,
  key        TEXT,
  row        TEXT,
  changes    TEXT,
  unique_key INTEGER,
  in_common
);

CREATE INDEX messagekit_replaced_rows_row ON messagekit_replaced_rows (source_id, is_same, row_id);
CREATE INDEX messagekit_replaced_rows_in_common ON messagekit_replaced_rows (source_id, unique_key, in_common);

-- Who changes rows: a row that its transaction inserts first, and deletes before it commits. Its reference is checked at the commit, and
-- refers to nothing: what is left behind fails the commit, so that it never names the next writer.
CREATE TABLE messagekit_actor (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  name      TEXT NOT NULL,
  left_over INTEGER NOT NULL DEFAULT 0 CHECK (left_over = 0)
    REFERENCES messagekit_foreign_key_probe (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;

-- Always empty. Its rows go with their parent where foreign keys are enforced.
CREATE TABLE messagekit_foreign_key_probe (
  id     INTEGER PRIMARY KEY CHECK (id IN (1, 2)),
  parent INTEGER REFERENCES messagekit_foreign_key_probe (id) ON DELETE CASCADE
) STRICT;

CREATE TRIGGER messagekit_actor_needs_foreign_keys BEFORE INSERT ON messagekit_actor
BEGIN
  SELECT RAISE(ABORT, 'messagekit: the name of an actor is longer than 200 bytes') WHERE length(CAST(NEW.name AS BLOB)) > 200;
  INSERT INTO messagekit_foreign_key_probe (id, parent) VALUES (1, NULL), (2, 1);
  DELETE FROM messagekit_foreign_key_probe WHERE id = 1;
  SELECT RAISE(ABORT, 'messagekit: an actor needs PRAGMA foreign_keys = ON, by which a commit that leaves it behind fails')
  WHERE EXISTS (SELECT 1 FROM messagekit_foreign_key_probe);
END;

-- # Views of topics

-- What SQL tools read about topics. The columns are those of the views in PostgreSQL. Nothing here is newer than STRICT: an older tool could read no table of a file whose views it cannot parse.

-- A row for each topic, table and kind of change. A table source of a file fails the write.
CREATE VIEW messagekit_system_routes AS
SELECT s.topic AS topic_id, s.table_name AS table_id, o.op AS op, s.payload AS payload_mode, s.filter AS filter_expr,
  s.key AS partition_key_expr, 'fail' AS on_failure
FROM messagekit_table_sources s
  JOIN (SELECT 'delete' AS op UNION ALL SELECT 'insert' UNION ALL SELECT 'update') o
    ON CASE o.op WHEN 'insert' THEN s.on_insert WHEN 'update' THEN s.on_update ELSE s.on_delete END;

-- A row for each topic that is defined. retention_seconds: rounded up. routes: a JSON list. created_at: UTC, as text that sorts.
CREATE VIEW messagekit_system_topics AS
SELECT t.name AS topic_id, t.name AS name, t.partitions AS partitions, (d.max_age - 1) / 1000000 + 1 AS retention_seconds,
  d.max_bytes AS retention_max_bytes, d.keep_unhandled AS retention_consumed,
  (d.unhandled_max_age - 1) / 1000000 + 1 AS retention_unhandled_seconds,
  (SELECT json_group_array(json_object('table_id', r.table_id, 'op', r.op)) FROM (
     SELECT s.table_id, s.op FROM messagekit_system_routes s WHERE s.topic_id = t.name
     ORDER BY s.table_id COLLATE BINARY, s.op) r) AS routes,
  strftime('%Y-%m-%dT%H:%M:%S', d.created_at / 1000000, 'unixepoch') || printf('.%06dZ', d.created_at % 1000000) AS created_at
FROM messagekit_topic_definitions d JOIN messagekit_topics t ON t.id = d.topic_id;

-- A row for each partition of a topic in which a consumer has begun to read. lag: the records that it has not settled, without those that
-- retention has deleted. It reads cursors and claims, and no record.
CREATE VIEW messagekit_system_topic_offsets AS
SELECT t.name AS topic_id, n.name AS group_id, p.partition AS partition_id,
  CASE WHEN c.next > 0 THEN c.next - 1 END AS last_acked_offset, p.next_offset AS next_offset,
  max(p.next_offset - max(coalesce(c.next, 0), p.log_start), 0) - coalesce((
    SELECT sum(max(json_extract(r.value, '$.to') - max(json_extract(r.value, '$.from'), p.log_start), 0))
    FROM messagekit_record_claims k JOIN json_each(k.ranges) r
    WHERE k.consumer_id = c.consumer_id AND k.tp_id = c.tp_id AND k.next = c.next
      AND json_extract(r.value, '$.state') = 'settled'), 0) AS lag
FROM (
    SELECT DISTINCT b.consumer_id, o.topic_id FROM messagekit_consumer_cursors b
    JOIN messagekit_topic_partitions o ON o.id = b.tp_id) g
  JOIN messagekit_topic_definitions d ON d.topic_id = g.topic_id
  JOIN messagekit_topics t ON t.id = g.topic_id
  JOIN messagekit_consumers n ON n.id = g.consumer_id
  JOIN messagekit_topic_partitions p ON p.topic_id = g.topic_id
  LEFT JOIN messagekit_consumer_cursors c ON c.consumer_id = g.consumer_id AND c.tp_id = p.id;
