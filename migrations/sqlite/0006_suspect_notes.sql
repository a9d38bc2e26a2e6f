-- Who handles a message alone that may end its process: a note for each run of a consumer that began, taken back or forgotten
-- with its answer. Two that handle copies of a message at the same time each have a note of their own, so neither counts the
-- other's as a death.
-- Programs of this step leave messagekit_suspects alone; it is there for those that were started before.
CREATE TABLE messagekit_suspect_notes (
  consumer_id INTEGER NOT NULL,
  message_id  TEXT NOT NULL,
  noted_by    TEXT NOT NULL,
  noted_at    INTEGER NOT NULL,
  PRIMARY KEY (consumer_id, message_id, noted_by)
) STRICT, WITHOUT ROWID;

WITH RECURSIVE dead (consumer_id, message_id, death, noted_at) AS (
  SELECT consumer_id, message_id, deaths + running, noted_at FROM messagekit_suspects
  UNION ALL
  SELECT consumer_id, message_id, death - 1, noted_at FROM dead WHERE death > 1
)
INSERT INTO messagekit_suspect_notes (consumer_id, message_id, noted_by, noted_at)
SELECT consumer_id, message_id, 'death ' || death, noted_at FROM dead WHERE death > 0;
