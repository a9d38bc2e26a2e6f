-- How old a message may be for a consumer, as its processes say when they start: what a cleanup keeps markers by. While one
-- is replaced by another, the longer of their windows counts.
CREATE TABLE messagekit_consumer_windows (
  consumer_id INTEGER NOT NULL,
  seconds     INTEGER NOT NULL CHECK (seconds > 0),
  noted_at    INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, seconds)
) STRICT, WITHOUT ROWID;
