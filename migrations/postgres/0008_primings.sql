-- How far consumers are with the past of their topics.

-- frontier: the greatest time of the records that the consumer has handled in the order of time; NULL before the first one. Only grows, and
-- is_finished stays, until another priming begins.
CREATE TABLE messagekit.consumer_primings (
  consumer    text COLLATE "C" PRIMARY KEY,
  frontier    timestamptz,
  is_finished boolean NOT NULL DEFAULT false
) WITH (fillfactor = 50);
