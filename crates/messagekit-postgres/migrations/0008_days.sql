-- What `messagekit migrate --by-day` needs to divide events and markers by the day of their ids, so that a whole day leaves at
-- once.

-- The day of an id on a wheel of 32 days, or -1 for an id that tells none. An id tells the same day wherever it comes from, so
-- a copy of a message finds the marker of the first one. While the tables are not divided every id is of day -1.
CREATE FUNCTION messagekit.day_of(id text) RETURNS smallint
  LANGUAGE sql IMMUTABLE PARALLEL SAFE
  RETURN (-1)::smallint;

ALTER TABLE messagekit.processed_messages ADD COLUMN day smallint NOT NULL DEFAULT -1;
