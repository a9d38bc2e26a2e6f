-- Keys that are held: a message that was set aside keeps later ones of its topic and key behind it.
-- To be run with foreign keys off, as the engine does: rows of yours that point at letters would be deleted with the
-- table they move out of.

-- SQLite cannot change a CHECK, so the letters move once more. The old way of renaming leaves views and foreign keys of
-- yours alone, which name the table that comes back.
PRAGMA legacy_alter_table = ON;

-- parked = 1: it takes part in the order of its key. waiting: an open one of its key stands before it. run_length: how many
-- messages of the key run together in the last lease. alone: how many, from here on, run one at a time after a death.
CREATE TABLE messagekit_dead_letters_parked (
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
  parked        INTEGER NOT NULL DEFAULT 0 CHECK (parked IN (0, 1)),
  state         TEXT NOT NULL CHECK (state IN ('retrying', 'waiting', 'dead', 'replaying', 'resolved', 'discarded')),
  attempts      INTEGER NOT NULL CHECK (attempts >= 0),
  kills         INTEGER NOT NULL DEFAULT 0,
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
  CHECK ((due IS NOT NULL) = (state IN ('retrying', 'replaying'))),
  CHECK (running_since IS NULL OR due IS NOT NULL),
  CHECK (origin <> 'store' OR return_to IS NULL),
  CHECK (parked = 0 OR (key IS NOT NULL AND partition IS NOT NULL AND offset IS NOT NULL)),
  CHECK (parked = 1 OR state <> 'waiting')
) STRICT;

INSERT INTO messagekit_dead_letters_parked
  (id, consumer_id, message_id, topic, place_topic, partition, offset, event_type, origin, return_to, state, attempts,
   kills, due, running_since, token, generation, kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload)
SELECT id, consumer_id, message_id, topic, place_topic, partition, offset, event_type, origin, return_to, state, attempts,
       kills, due, running_since, token, generation, kind, error, fingerprint, set_aside_at, changed_at, key, headers, payload
FROM messagekit_dead_letters ORDER BY id;

-- A number is given once, also where the newest letters were deleted.
DELETE FROM sqlite_sequence WHERE name = 'messagekit_dead_letters_parked';
INSERT INTO sqlite_sequence (name, seq)
SELECT 'messagekit_dead_letters_parked', seq FROM sqlite_sequence WHERE name = 'messagekit_dead_letters';

DROP TABLE messagekit_dead_letters;
ALTER TABLE messagekit_dead_letters_parked RENAME TO messagekit_dead_letters;
PRAGMA legacy_alter_table = OFF;

CREATE INDEX messagekit_dead_letters_due ON messagekit_dead_letters (consumer_id, due)
  WHERE state IN ('retrying', 'replaying');
CREATE INDEX messagekit_dead_letters_returns ON messagekit_dead_letters (origin, due)
  WHERE state IN ('retrying', 'replaying') AND origin <> 'store';
-- Totals, and the pages of one consumer or one state.
CREATE INDEX messagekit_dead_letters_consumer ON messagekit_dead_letters (consumer_id, state, id);
CREATE INDEX messagekit_dead_letters_fingerprint ON messagekit_dead_letters (fingerprint, id);
-- The keys that are held, each with its letters in order: what a claim asks, and what runs next. The last two columns
-- answer the condition, so that no look reads a letter.
CREATE INDEX messagekit_dead_letters_key
  ON messagekit_dead_letters (consumer_id, topic, key, partition, offset, id, parked, state)
  WHERE parked = 1 AND state NOT IN ('resolved', 'discarded');
