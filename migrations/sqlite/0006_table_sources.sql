-- Table sources.

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
-- row: NULL if the rules of the source leave no event. is_same: the written row has their primary key, and row_id is that key; otherwise
-- row_id is the number of the row, or the key of a row without a number. Between statements they mean nothing.
CREATE TABLE messagekit_replaced_rows (
  source_id  INTEGER,
  is_same    INTEGER,
  row_id,
  event_type TEXT,
  key        TEXT,
  row        TEXT,
  changes    TEXT
);

CREATE INDEX messagekit_replaced_rows_row ON messagekit_replaced_rows (source_id, is_same, row_id);

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
