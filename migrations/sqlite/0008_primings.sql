-- How far consumers are with the past of their topics.

-- frontier: the greatest time of the records that the consumer has handled in the order of time, in microseconds; NULL before the first
-- one. Only grows, and is_finished stays, until another priming begins.
CREATE TABLE messagekit_consumer_primings (
  consumer_id INTEGER PRIMARY KEY,
  frontier    INTEGER,
  is_finished INTEGER NOT NULL DEFAULT 0 CHECK (is_finished IN (0, 1))
) STRICT;
