-- What the shell of SQLite dumped of a file of version 11, with rows in every table.

PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE messagekit_consumers (
  id   INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
INSERT INTO messagekit_consumers VALUES(1,'billing');
INSERT INTO messagekit_consumers VALUES(2,'queue:printing');
CREATE TABLE messagekit_topics (
  id         INTEGER PRIMARY KEY,
  name       TEXT NOT NULL UNIQUE,
  partitions INTEGER NOT NULL DEFAULT 0 CHECK (partitions BETWEEN 0 AND 1024),
  leaves     INTEGER NOT NULL DEFAULT 0 CHECK (leaves IN (0, 1))
) STRICT;
INSERT INTO messagekit_topics VALUES(1,'orders.order',1,1);
INSERT INTO messagekit_topics VALUES(2,'payments.payment',0,0);
CREATE TABLE messagekit_topic_partitions (
  id          INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 8388607),
  topic_id    INTEGER NOT NULL REFERENCES messagekit_topics (id),
  partition   INTEGER NOT NULL CHECK (partition >= 0),
  next_offset INTEGER NOT NULL DEFAULT 0 CHECK (next_offset BETWEEN 0 AND 1099511627775),
  log_start   INTEGER NOT NULL DEFAULT 0 CHECK (log_start BETWEEN 0 AND next_offset), bytes INTEGER,
  UNIQUE (topic_id, partition)
) STRICT;
INSERT INTO messagekit_topic_partitions VALUES(1,1,0,4,0,NULL);
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
INSERT INTO messagekit_topic_records VALUES(1099511627776,'e-1','orders.order.placed',X'6f2d31','application/json','00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',1793520000000000,'[["tenant","north"]]',X'7b226f726465724964223a226f2d31227d');
INSERT INTO messagekit_topic_records VALUES(1099511627777,'e-2','orders.order.placed',X'6f2d32','application/json',NULL,1793520060000000,NULL,X'7b226f726465724964223a226f2d32227d');
INSERT INTO messagekit_topic_records VALUES(1099511627778,'e-3','orders.order.paid',X'6f2d32','application/json',NULL,1793520120000000,NULL,X'7b226f726465724964223a226f2d32227d');
INSERT INTO messagekit_topic_records VALUES(1099511627779,'e-1','orders.order.placed',X'6f2d31','application/json',NULL,1793521800000000,NULL,X'7b226f726465724964223a226f2d31227d');
CREATE TABLE messagekit_outbox_delayed (
  number  INTEGER PRIMARY KEY AUTOINCREMENT,
  due     INTEGER NOT NULL,
  topic   TEXT NOT NULL,
  key     BLOB,
  headers TEXT NOT NULL,
  payload BLOB NOT NULL
, event_id TEXT, links TEXT) STRICT;
INSERT INTO messagekit_outbox_delayed VALUES(1,4070908800000000,'orders.order',X'6f2d31','[["id","e-4"]]',X'7b7d','e-4','[["x-messagekit-causation-id","e-1"]]');
CREATE TABLE messagekit_outbox_pending (
  seq      INTEGER PRIMARY KEY AUTOINCREMENT,
  shard    INTEGER NOT NULL CHECK (shard BETWEEN 0 AND 63),
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL,
  key_hash INTEGER,
  attempts INTEGER NOT NULL DEFAULT 0,
  ready_at INTEGER NOT NULL
) STRICT;
INSERT INTO messagekit_outbox_pending VALUES(1,7,1,1099511627776,11,0,1793520000000000);
INSERT INTO messagekit_outbox_pending VALUES(4,7,1,1099511627779,11,0,1793521800000000);
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
INSERT INTO messagekit_outbox_rejected VALUES(1,2,9,1,1099511627777,12,1,'record too large',1793520300000000);
INSERT INTO messagekit_outbox_rejected VALUES(2,3,9,1,1099511627778,12,0,NULL,1793520300000000);
CREATE TABLE messagekit_relay_members (
  name  TEXT PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_relay_members VALUES('relay-1',1793520600000000);
CREATE TABLE messagekit_relay_shards (
  shard INTEGER PRIMARY KEY CHECK (shard BETWEEN 0 AND 63),
  owner TEXT,
  epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO messagekit_relay_shards VALUES(0,'relay-1',2);
INSERT INTO messagekit_relay_shards VALUES(1,'relay-1',2);
INSERT INTO messagekit_relay_shards VALUES(2,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(3,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(4,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(5,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(6,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(7,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(8,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(9,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(10,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(11,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(12,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(13,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(14,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(15,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(16,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(17,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(18,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(19,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(20,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(21,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(22,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(23,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(24,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(25,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(26,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(27,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(28,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(29,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(30,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(31,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(32,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(33,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(34,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(35,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(36,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(37,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(38,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(39,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(40,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(41,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(42,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(43,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(44,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(45,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(46,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(47,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(48,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(49,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(50,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(51,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(52,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(53,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(54,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(55,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(56,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(57,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(58,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(59,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(60,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(61,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(62,NULL,0);
INSERT INTO messagekit_relay_shards VALUES(63,NULL,0);
CREATE TABLE messagekit_processed_messages (
  consumer_id  INTEGER NOT NULL,
  message_id   TEXT NOT NULL,
  generation   INTEGER NOT NULL DEFAULT 0,
  outcome      INTEGER NOT NULL CHECK (outcome IN (0, 1, 2)),
  processed_at INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_processed_messages VALUES(1,'m-again',2,0,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(1,'m-dead',0,1,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(1,'m-discarded',0,2,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(1,'m-done',0,0,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(1,'m-parked',0,1,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(1,'m-waiting',0,1,1793523600000000);
INSERT INTO messagekit_processed_messages VALUES(2,'m-queue',0,1,1793523600000000);
CREATE TABLE messagekit_consumer_offsets (
  consumer_id INTEGER NOT NULL,
  topic_id    INTEGER NOT NULL,
  partition   INTEGER NOT NULL,
  key_lane      INTEGER NOT NULL DEFAULT 0,
  next        INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, topic_id, partition, key_lane)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_consumer_offsets VALUES(1,2,0,0,12);
INSERT INTO messagekit_consumer_offsets VALUES(1,2,0,1,9);
CREATE TABLE messagekit_consumer_cursors (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL CHECK (next >= 0), expired INTEGER NOT NULL DEFAULT 0, by_record INTEGER NOT NULL DEFAULT 0 CHECK (by_record IN (0, 1)),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_consumer_cursors VALUES(1,1,1,0,0);
CREATE TABLE messagekit_consumer_windows (
  consumer_id    INTEGER NOT NULL,
  seconds        INTEGER NOT NULL CHECK (seconds > 0),
  noted_at       INTEGER NOT NULL,
  complete_since INTEGER,
  PRIMARY KEY (consumer_id, seconds)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_consumer_windows VALUES(1,604800,1793523600000000,1792918800000000);
CREATE TABLE messagekit_in_flight_attempts (
  consumer_id INTEGER NOT NULL,
  message_id  TEXT NOT NULL,
  runner    TEXT NOT NULL,
  noted_at    INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id, runner)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_in_flight_attempts VALUES(1,'m-poison','billing-a',1793523600000000);
INSERT INTO messagekit_in_flight_attempts VALUES(1,'m-poison','billing-b',1793523660000000);
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
  payload       BLOB NOT NULL, failed_runs TEXT NOT NULL DEFAULT '[]', leased_by TEXT,
  UNIQUE (consumer_id, message_id),
  CHECK ((due IS NOT NULL) = (state IN ('retry_scheduled', 'retry_requested'))),
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (origin <> 'store' OR return_to IS NULL),
  CHECK (parked = 0 OR (key IS NOT NULL AND partition IS NOT NULL AND offset IS NOT NULL)),
  CHECK (parked = 1 OR state <> 'blocked')
) STRICT;
INSERT INTO messagekit_failed_messages VALUES(1,1,'m-dead','orders.order',NULL,0,5,'orders.order.placed','store',NULL,0,'dead','run_failed',4,1,1,0,NULL,NULL,7,0,'failed','no stock','f-1',1793523600000000,1793524200000000,X'6f2d31','[["id","m-dead"]]',X'fe00','[{"at":1793524200000000,"attempt":4,"error":"no stock","instance":"billing-1/7"}]',NULL);
INSERT INTO messagekit_failed_messages VALUES(2,1,'m-parked','orders.order',NULL,0,6,NULL,'store',NULL,1,'retry_scheduled','set_aside',1,0,1,0,1793524800000000,1793524740000000,2,0,'failed','no stock','f-1',1793523600000000,1793524200000000,X'6f2d32','[]',X'7b7d','[]','2 billing-1/7');
INSERT INTO messagekit_failed_messages VALUES(3,1,'m-waiting','orders.order',NULL,0,7,NULL,'store',NULL,1,'blocked','key_blocked',0,0,1,0,NULL,NULL,0,0,'behind','waits','f-2',1793523600000000,1793523600000000,X'6f2d32','[]',X'7b7d','[]',NULL);
INSERT INTO messagekit_failed_messages VALUES(4,1,'m-discarded','orders.order',NULL,NULL,NULL,NULL,'store',NULL,0,'discarded','discarded',1,0,1,0,NULL,NULL,0,0,'failed','no stock','f-1',1793523600000000,1793525400000000,NULL,'[]',X'7b7d','[]',NULL);
INSERT INTO messagekit_failed_messages VALUES(5,2,'m-queue','orders.order',NULL,NULL,NULL,NULL,'queue','printing',0,'retry_requested','retry_requested',0,0,1,0,1793524800000000,NULL,0,0,'failed','rejected','f-3',1793523600000000,1793524800000000,NULL,'[]',X'7b7d','[]',NULL);
CREATE TABLE messagekit_outbox_failures (
  event_id  TEXT NOT NULL,
  scope     TEXT NOT NULL,
  reason    TEXT NOT NULL,
  failed_at INTEGER NOT NULL,
  PRIMARY KEY (event_id, scope)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_outbox_failures VALUES('e-1','queue:printing','rejected',1793523600000000);
CREATE TABLE messagekit_topic_copies (
  pos          INTEGER PRIMARY KEY,
  original_pos INTEGER NOT NULL
) STRICT;
INSERT INTO messagekit_topic_copies VALUES(1099511627779,1099511627776);
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
INSERT INTO messagekit_replay_jobs VALUES(1,'orders.order.placed','orders.order',NULL,1793491200000000,1793577600000000,'same',10,'running',2,1,'ann',1793521200000000,1793521800000000,NULL,3,NULL);
CREATE TABLE messagekit_replay_items (
  job_id INTEGER NOT NULL REFERENCES messagekit_replay_jobs (id),
  number INTEGER NOT NULL,
  pos    INTEGER NOT NULL,
  PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_replay_items VALUES(1,2,1099511627777);
CREATE TABLE messagekit_admin_audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  acted_at   INTEGER NOT NULL,
  operator      TEXT NOT NULL,
  through    TEXT NOT NULL,
  request_id TEXT,
  action     TEXT NOT NULL,
  ids        TEXT NOT NULL,
  done       INTEGER NOT NULL
, event_id TEXT) STRICT;
INSERT INTO messagekit_admin_audit VALUES(1,1793525400000000,'ann','cli',NULL,'discard','[4]',1,NULL);
INSERT INTO messagekit_admin_audit VALUES(2,1793521200000000,'ann','http','r-1','replay','[1]',2,NULL);
CREATE TABLE messagekit_schema (
  version    INTEGER PRIMARY KEY,
  name       TEXT NOT NULL,
  applied_at INTEGER NOT NULL
, lowest_program INTEGER CHECK (lowest_program BETWEEN 1 AND version)) STRICT;
INSERT INTO messagekit_schema VALUES(1,'schema',1793516400000000,1);
INSERT INTO messagekit_schema VALUES(2,'history',1793516400000000,2);
INSERT INTO messagekit_schema VALUES(3,'lowest_program',1793516400000000,2);
INSERT INTO messagekit_schema VALUES(4,'record_claims',1793516400000000,3);
INSERT INTO messagekit_schema VALUES(5,'topics',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(6,'table_sources',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(7,'topic_views',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(8,'primings',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(9,'failed_runs',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(10,'unhandled_types',1793516400000000,5);
INSERT INTO messagekit_schema VALUES(11,'replaced_rows',1793516400000000,5);
CREATE TABLE messagekit_event_links (
  pos            INTEGER PRIMARY KEY,
  correlation_id TEXT,
  causation_id   TEXT,
  replay_of      TEXT
) STRICT;
INSERT INTO messagekit_event_links VALUES(1099511627778,'e-1','e-2',NULL);
CREATE TABLE messagekit_admin_audit_ids (
  is_replay INTEGER NOT NULL CHECK (is_replay IN (0, 1)),
  id        INTEGER NOT NULL,
  audit_id  INTEGER NOT NULL,
  PRIMARY KEY (is_replay, id, audit_id)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_admin_audit_ids VALUES(0,4,1);
INSERT INTO messagekit_admin_audit_ids VALUES(1,1,2);
CREATE TABLE messagekit_record_claims (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL,
  ranges      TEXT NOT NULL CHECK (json_valid(ranges)),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_record_claims VALUES(1,1,1,'[{"from":1,"to":2,"attempts":1,"state":{"waiting":{"due":1793516400000000,"is_alone":false}}}]');
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
INSERT INTO messagekit_topic_definitions VALUES(1,NULL,NULL,'["order_id"]',NULL,0,1793516400000000,604800000000,NULL,1);
CREATE TABLE messagekit_record_ids (
  first_id INTEGER PRIMARY KEY,
  topic_id INTEGER NOT NULL,
  pos      INTEGER NOT NULL UNIQUE,
  length   INTEGER NOT NULL CHECK (length > 0)
) STRICT;
INSERT INTO messagekit_record_ids VALUES(1,1,1099511627776,4);
CREATE TABLE messagekit_dedup_hashes (
  topic_id  INTEGER NOT NULL,
  hash      BLOB NOT NULL,
  record_id INTEGER NOT NULL,
  PRIMARY KEY (topic_id, hash)
) STRICT, WITHOUT ROWID;
INSERT INTO messagekit_dedup_hashes VALUES(1,X'44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',1);
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
INSERT INTO messagekit_topic_migrations VALUES(1,'m-1',1099511627776,1,NULL,X'7b7d',NULL);
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
INSERT INTO messagekit_table_sources VALUES(1,'shop.orders','orders',1,1,0,'total > 5','this_row.total > 5','diff',NULL,NULL,'["id"]',1);
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
INSERT INTO messagekit_waiting_changes VALUES(1,'shop.orders','shop.orders.inserted','orders','7','{"id":7,"total":9.5}',NULL,'ann',2461370.2499999999999);
CREATE TABLE messagekit_replaced_rows (
  source_id  INTEGER,
  is_same    INTEGER,
  row_id,
  event_type TEXT,
  key        TEXT,
  row        TEXT,
  changes    TEXT
, unique_key INTEGER, in_common);
INSERT INTO messagekit_replaced_rows VALUES(1,1,7,'shop.orders.updated','7','{"id":7}','{}',0,7);
CREATE TABLE messagekit_actor (
  id        INTEGER PRIMARY KEY CHECK (id = 1),
  name      TEXT NOT NULL,
  left_over INTEGER NOT NULL DEFAULT 0 CHECK (left_over = 0)
    REFERENCES messagekit_foreign_key_probe (id) DEFERRABLE INITIALLY DEFERRED
) STRICT;
INSERT INTO messagekit_actor VALUES(1,'ann',0);
CREATE TABLE messagekit_foreign_key_probe (
  id     INTEGER PRIMARY KEY CHECK (id IN (1, 2)),
  parent INTEGER REFERENCES messagekit_foreign_key_probe (id) ON DELETE CASCADE
) STRICT;
INSERT INTO messagekit_foreign_key_probe VALUES(2,NULL);
CREATE TABLE messagekit_consumer_primings (
  consumer_id INTEGER PRIMARY KEY,
  frontier    INTEGER,
  is_finished INTEGER NOT NULL DEFAULT 0 CHECK (is_finished IN (0, 1))
, number INTEGER NOT NULL DEFAULT 1) STRICT;
INSERT INTO messagekit_consumer_primings VALUES(1,1793516400000000,1,1);
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('messagekit_outbox_delayed',1);
INSERT INTO sqlite_sequence VALUES('messagekit_outbox_pending',4);
INSERT INTO sqlite_sequence VALUES('messagekit_outbox_rejected',2);
INSERT INTO sqlite_sequence VALUES('messagekit_failed_messages',9);
INSERT INTO sqlite_sequence VALUES('messagekit_replay_jobs',1);
INSERT INTO sqlite_sequence VALUES('messagekit_admin_audit',2);
INSERT INTO sqlite_sequence VALUES('messagekit_table_sources',1);
CREATE INDEX messagekit_topic_records_event ON messagekit_topic_records (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX messagekit_outbox_delayed_due ON messagekit_outbox_delayed (due, number);
CREATE INDEX messagekit_outbox_pending_shard ON messagekit_outbox_pending (shard, topic_id, seq);
CREATE INDEX messagekit_outbox_rejected_key ON messagekit_outbox_rejected (topic_id, key_hash, seq)
  WHERE key_hash IS NOT NULL;
CREATE INDEX messagekit_outbox_rejected_heads ON messagekit_outbox_rejected (id) WHERE error IS NOT NULL;
CREATE INDEX messagekit_failed_messages_due ON messagekit_failed_messages (consumer_id, due)
  WHERE state IN ('retry_scheduled', 'retry_requested');
CREATE INDEX messagekit_failed_messages_returns ON messagekit_failed_messages (origin, due)
  WHERE state IN ('retry_scheduled', 'retry_requested') AND origin <> 'store';
CREATE INDEX messagekit_failed_messages_key
  ON messagekit_failed_messages (consumer_id, topic, key, partition, offset, id, parked, state)
  WHERE parked = 1 AND state NOT IN ('resolved', 'discarded');
CREATE INDEX messagekit_failed_messages_consumer ON messagekit_failed_messages (consumer_id, state, id);
CREATE INDEX messagekit_failed_messages_fingerprint ON messagekit_failed_messages (fingerprint, id);
CREATE INDEX messagekit_topic_copies_original ON messagekit_topic_copies (original_pos);
CREATE INDEX messagekit_event_links_correlation ON messagekit_event_links (correlation_id) WHERE correlation_id IS NOT NULL;
CREATE INDEX messagekit_event_links_causation ON messagekit_event_links (causation_id) WHERE causation_id IS NOT NULL;
CREATE INDEX messagekit_event_links_replay ON messagekit_event_links (replay_of) WHERE replay_of IS NOT NULL;
CREATE INDEX messagekit_outbox_pending_pos ON messagekit_outbox_pending (pos);
CREATE INDEX messagekit_outbox_rejected_pos ON messagekit_outbox_rejected (pos);
CREATE INDEX messagekit_outbox_delayed_event ON messagekit_outbox_delayed (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX messagekit_admin_audit_event ON messagekit_admin_audit (event_id) WHERE event_id IS NOT NULL;
CREATE INDEX messagekit_record_ids_topic ON messagekit_record_ids (topic_id, first_id);
CREATE INDEX messagekit_replaced_rows_row ON messagekit_replaced_rows (source_id, is_same, row_id);
CREATE INDEX messagekit_replaced_rows_in_common ON messagekit_replaced_rows (source_id, unique_key, in_common);
CREATE TRIGGER messagekit_actor_needs_foreign_keys BEFORE INSERT ON messagekit_actor
BEGIN
  SELECT RAISE(ABORT, 'messagekit: the name of an actor is longer than 200 bytes') WHERE length(CAST(NEW.name AS BLOB)) > 200;
  INSERT INTO messagekit_foreign_key_probe (id, parent) VALUES (1, NULL), (2, 1);
  DELETE FROM messagekit_foreign_key_probe WHERE id = 1;
  SELECT RAISE(ABORT, 'messagekit: an actor needs PRAGMA foreign_keys = ON, by which a commit that leaves it behind fails')
  WHERE EXISTS (SELECT 1 FROM messagekit_foreign_key_probe);
END;
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
INSERT INTO messagekit_unhandled_types VALUES(1,'orders.order','orders.order.palced','["orders.order.placed"]',3,1793516400000000,1793520000000000);
CREATE VIEW messagekit_system_routes AS
SELECT s.topic AS topic_id, s.table_name AS table_id, o.op AS op, s.payload AS payload_mode, s.filter AS filter_expr,
  s.key AS partition_key_expr, 'fail' AS on_failure
FROM messagekit_table_sources s
  JOIN (SELECT 'delete' AS op UNION ALL SELECT 'insert' UNION ALL SELECT 'update') o
    ON CASE o.op WHEN 'insert' THEN s.on_insert WHEN 'update' THEN s.on_update ELSE s.on_delete END;
CREATE VIEW messagekit_system_topics AS
SELECT t.name AS topic_id, t.name AS name, t.partitions AS partitions, (d.max_age - 1) / 1000000 + 1 AS retention_seconds,
  d.max_bytes AS retention_max_bytes, d.keep_unhandled AS retention_consumed,
  (SELECT json_group_array(json_object('table_id', r.table_id, 'op', r.op)) FROM (
     SELECT s.table_id, s.op FROM messagekit_system_routes s WHERE s.topic_id = t.name
     ORDER BY s.table_id COLLATE BINARY, s.op) r) AS routes,
  strftime('%Y-%m-%dT%H:%M:%S', d.created_at / 1000000, 'unixepoch') || printf('.%06dZ', d.created_at % 1000000) AS created_at
FROM messagekit_topic_definitions d JOIN messagekit_topics t ON t.id = d.topic_id;
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
COMMIT;
