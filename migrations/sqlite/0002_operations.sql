-- What operators need: letters of brokers, letters that were given up, deaths of processes, replays, the audit.
-- To be run with foreign keys off, as the engine does: rows of yours that point at letters would be deleted with the
-- table they move out of.

-- SQLite cannot change a CHECK, so the letters move into a table with a wider one. The old way of renaming leaves views
-- and foreign keys of yours alone, which name the table that comes back.
PRAGMA legacy_alter_table = ON;

-- consumer_id: for what a broker kept, its scope stands among the consumers, as `queue:` or `topic:` and the name.
CREATE TABLE messagekit_dead_letters_wider (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  consumer_id   INTEGER NOT NULL,
  message_id    TEXT NOT NULL,
  topic         TEXT NOT NULL,
  place_topic   TEXT,
  partition     INTEGER,
  offset        INTEGER,
  event_type    TEXT,
  origin        TEXT NOT NULL DEFAULT 'store' CHECK (origin IN ('store', 'queue', 'topic')),
  return_to     TEXT,
  state         TEXT NOT NULL CHECK (state IN ('retrying', 'dead', 'replaying', 'resolved', 'discarded')),
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
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (origin <> 'store' OR return_to IS NULL)
) STRICT;

INSERT INTO messagekit_dead_letters_wider
  (id, consumer_id, message_id, topic, place_topic, partition, offset, event_type, state, attempts, kills, due,
   running_since, token, generation, kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload)
SELECT id, consumer_id, message_id, topic, place_topic, partition, offset, event_type, state, attempts, kills, due,
       running_since, token, generation, kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload
FROM messagekit_dead_letters ORDER BY id;

-- A number is given once, also where the newest letters were deleted.
DELETE FROM sqlite_sequence WHERE name = 'messagekit_dead_letters_wider';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'messagekit_dead_letters_wider', seq FROM sqlite_sequence WHERE name = 'messagekit_dead_letters';

DROP TABLE messagekit_dead_letters;
ALTER TABLE messagekit_dead_letters_wider RENAME TO messagekit_dead_letters;
PRAGMA legacy_alter_table = OFF;

CREATE INDEX messagekit_dead_letters_due ON messagekit_dead_letters (consumer_id, due)
  WHERE state IN ('retrying', 'replaying');
CREATE INDEX messagekit_dead_letters_returns ON messagekit_dead_letters (origin, due)
  WHERE state IN ('retrying', 'replaying') AND origin <> 'store';
-- Totals, and the pages of one consumer or one state.
CREATE INDEX messagekit_dead_letters_consumer ON messagekit_dead_letters (consumer_id, state, id);
CREATE INDEX messagekit_dead_letters_fingerprint ON messagekit_dead_letters (fingerprint, id);

-- Messages that are handled one by one. running = 1: noted, and not yet answered; whoever finds it so counts a death.
CREATE TABLE messagekit_suspects (
  consumer_id INTEGER NOT NULL,
  message_id  TEXT NOT NULL,
  deaths      INTEGER NOT NULL DEFAULT 0 CHECK (deaths >= 0),
  running     INTEGER NOT NULL CHECK (running IN (0, 1)),
  noted_at    INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id)
) STRICT, WITHOUT ROWID;

-- Events of this file that failed somewhere, by whoever reads the dead letters of brokers.
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

-- The first columns are the order. epoch counts up with each lease and fences every earlier holder.
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

-- What a replay has still to append, in this order: taken out in the transaction that appends.
CREATE TABLE messagekit_replay_items (
  job_id INTEGER NOT NULL REFERENCES messagekit_replay_jobs (id),
  number INTEGER NOT NULL,
  pos    INTEGER NOT NULL,
  PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

-- What people did: one row for each act, written in its transaction. ids is a JSON list of letters, or of one replay;
-- done says for how many of them the act did something.
CREATE TABLE messagekit_admin_audit (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  acted_at   INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  through    TEXT NOT NULL,
  request_id TEXT,
  action     TEXT NOT NULL,
  ids        TEXT NOT NULL,
  done       INTEGER NOT NULL
) STRICT;
