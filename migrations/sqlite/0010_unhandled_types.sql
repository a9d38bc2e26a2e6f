-- What consumers have passed over, because they had no handler for its type.

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
