-- What people need to operate: a desk for dead letters, letters that a broker kept, replays, the lag of the outbox, and an
-- account of who did what.

-- Where a retry of a letter goes that a broker kept: its queue or its retry topic. NULL where nobody said.
ALTER TABLE messagekit.dead_letters ADD COLUMN return_to text COLLATE "C";

-- Letters that go back to a broker are taken whatever their scope is.
CREATE INDEX dead_letters_returns ON messagekit.dead_letters (origin, due)
  WHERE origin <> 'store' AND state IN ('retrying', 'replaying');

-- Lists show the newest first. Keys are found by their hash, because an index entry of their own length may be too large.
CREATE INDEX dead_letters_state ON messagekit.dead_letters (state, id);
CREATE INDEX dead_letters_consumer ON messagekit.dead_letters (consumer, state, id);
CREATE INDEX dead_letters_fingerprint ON messagekit.dead_letters (fingerprint, id);
CREATE INDEX dead_letters_key_hash ON messagekit.dead_letters (key_hash, id) WHERE key_hash IS NOT NULL;
CREATE INDEX dead_letters_set_aside ON messagekit.dead_letters USING brin (set_aside_at);

-- since is NULL while nobody runs the message: the deaths that were counted before stay.
ALTER TABLE messagekit.suspects ALTER COLUMN since DROP NOT NULL;

-- A copy keeps created_at of its original, because that is the time every hop passes on. This is when copies were written,
-- a row for each step of a replay. A column and an index of the outbox would do, but whoever writes an event would wait
-- until all of a large outbox had been read for that index.
CREATE TABLE messagekit.outbox_copies (
  job    bigint NOT NULL,
  at     timestamptz NOT NULL,
  copies bigint NOT NULL,
  PRIMARY KEY (at, job)
);

-- What is known about our events that died elsewhere: at which consumer, queue or topic, and why.
CREATE TABLE messagekit.outbox_failures (
  event_id text COLLATE "C" NOT NULL,
  consumer text COLLATE "C" NOT NULL,
  reason   text NOT NULL,
  at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (event_id, consumer)
);

-- Times and positions of the write-ahead log, some seconds apart: they turn the position that a slot has confirmed into a time.
CREATE TABLE messagekit.outbox_checkpoints (
  at  timestamptz PRIMARY KEY,
  wal pg_lsn NOT NULL
);
CREATE INDEX outbox_checkpoints_wal ON messagekit.outbox_checkpoints (wal);

-- Events that a person wants published again. Nobody owns a job: whoever works on it holds it until lease_until, and epoch
-- fences everybody who held it before.
CREATE TABLE messagekit.replay_jobs (
  id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  effect      text COLLATE "C" NOT NULL DEFAULT 'republish' CHECK (effect IN ('republish')),
  event_type  text COLLATE "C",
  topic       text COLLATE "C",
  key         text COLLATE "C",
  "from"      timestamptz,
  until       timestamptz,
  ids         text COLLATE "C" NOT NULL CHECK (ids IN ('same', 'new')),
  per_second  bigint CHECK (per_second >= 0),
  state       text COLLATE "C" NOT NULL CHECK (state IN ('running', 'done', 'cancelled', 'failed')),
  events      bigint NOT NULL DEFAULT 0,
  published   bigint NOT NULL DEFAULT 0,
  -- The last item that was taken.
  position    bigint NOT NULL DEFAULT 0,
  epoch       bigint NOT NULL DEFAULT 0,
  lease_until timestamptz,
  ordered_by  text NOT NULL,
  ordered_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  changed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  error       text
);
CREATE INDEX replay_jobs_running ON messagekit.replay_jobs (id) WHERE state = 'running';

-- The events of a job that have not gone out yet, in the order in which they will: chosen once, when it was ordered.
CREATE TABLE messagekit.replay_items (
  job      bigint NOT NULL,
  n        bigint NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  PRIMARY KEY (job, n)
);

-- Who did what, written in the transaction of the act; also when nothing came of it. letters are those that were asked for,
-- done counts those that moved, outcome says for the others why not.
CREATE TABLE messagekit.admin_audit (
  id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at         timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor      text NOT NULL,
  through    text NOT NULL,
  request_id text,
  act        text COLLATE "C" NOT NULL,
  letters    bigint[],
  subject    text,
  done       bigint NOT NULL,
  outcome    jsonb
);
CREATE INDEX admin_audit_at ON messagekit.admin_audit USING brin (at);
