-- Lookups of one event: the events that led to it, those it led to, and what operators did with it.

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

-- Whether a record is pending or rejected.
CREATE INDEX messagekit_outbox_pending_pos ON messagekit_outbox_pending (pos);
CREATE INDEX messagekit_outbox_rejected_pos ON messagekit_outbox_rejected (pos);

-- links: the ids that tie the event to others, in the form of the headers. No process that does not know them publishes them.
ALTER TABLE messagekit_outbox_delayed ADD COLUMN event_id TEXT;
ALTER TABLE messagekit_outbox_delayed ADD COLUMN links TEXT;

UPDATE messagekit_outbox_delayed SET event_id = (
  SELECT json_extract(pair.value, '$[1]') FROM json_each(messagekit_outbox_delayed.headers) pair
  WHERE json_extract(pair.value, '$[0]') = 'id' AND json_type(pair.value, '$[1]') = 'text')
WHERE json_valid(headers);

CREATE INDEX messagekit_outbox_delayed_event ON messagekit_outbox_delayed (event_id) WHERE event_id IS NOT NULL;

-- event_id: the rejected event of an action, whose number is gone with it.
ALTER TABLE messagekit_admin_audit ADD COLUMN event_id TEXT;

CREATE INDEX messagekit_admin_audit_event ON messagekit_admin_audit (event_id) WHERE event_id IS NOT NULL;

-- The numbers of each action, to find the actions of one of them: of a replay, and else of a failed message or a rejected event.
CREATE TABLE messagekit_admin_audit_ids (
  is_replay INTEGER NOT NULL CHECK (is_replay IN (0, 1)),
  id        INTEGER NOT NULL,
  audit_id  INTEGER NOT NULL,
  PRIMARY KEY (is_replay, id, audit_id)
) STRICT, WITHOUT ROWID;

INSERT INTO messagekit_admin_audit_ids (is_replay, id, audit_id)
SELECT DISTINCT a.action IN ('replay', 'cancel-replay'), ids.value, a.id FROM messagekit_admin_audit a, json_each(a.ids) ids
WHERE json_valid(a.ids) AND ids.type = 'integer' AND a.action IN ('retry', 'discard', 'undo', 'replay', 'cancel-replay');
