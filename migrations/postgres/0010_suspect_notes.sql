-- Who handles a message alone that may end its process: a note for each run of a consumer that began, taken back or forgotten
-- with its answer. Two that handle copies of a message at the same time each have a note of their own, so neither counts the
-- other's as a death.
-- Programs of this step leave messagekit.suspects alone; it is there for those that were started before.
CREATE TABLE messagekit.suspect_notes (
  consumer   text COLLATE "C" NOT NULL,
  message_id text COLLATE "C" NOT NULL,
  noted_by   text COLLATE "C" NOT NULL,
  noted_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (consumer, message_id, noted_by)
);

INSERT INTO messagekit.suspect_notes (consumer, message_id, noted_by, noted_at)
SELECT consumer, message_id, format('%s-%s-%s', topic, partition, death), coalesce(since, now())
FROM messagekit.suspects, generate_series(1, kills + (since IS NOT NULL)::int) AS death;
