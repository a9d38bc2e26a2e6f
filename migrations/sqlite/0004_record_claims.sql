-- Workers of one consumer share the records of a partition.

-- What a consumer has claimed in a partition behind its settled prefix. next is messagekit_consumer_cursors.next as of the last
-- claim: if the cursor differs, another reader of the consumer has moved it, and the claims are void. ranges is a JSON list, in
-- order and without gaps: from and to (exclusive) are offsets, attempts a number, state is "settled", or an object with the key
-- "claimed" (claim, holder, until, is_alone) or "waiting" (due, is_alone). Times are microseconds, as in every table.
CREATE TABLE messagekit_record_claims (
  consumer_id INTEGER NOT NULL,
  tp_id       INTEGER NOT NULL,
  next        INTEGER NOT NULL,
  ranges      TEXT NOT NULL CHECK (json_valid(ranges)),
  PRIMARY KEY (consumer_id, tp_id)
) STRICT, WITHOUT ROWID;
