-- What a cleanup needs to know, so that it removes only what nobody needs any more.

-- How old a message may be for a consumer, as its processes say when they start. While one is replaced by another, the longer
-- of their windows counts.
CREATE TABLE messagekit.consumer_windows (
  consumer text COLLATE "C" NOT NULL,
  seconds  bigint NOT NULL CHECK (seconds > 0),
  noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (consumer, seconds)
);

-- At a checkpoint: every transaction before oldest_xid had ended, place was the last one drawn in the outbox, and whoever had
-- drawn one has a smaller number than xid, that of the checkpoint itself. (What a snapshot calls its end is one behind the last
-- transaction that has ended, and one that runs may stand behind that.) Together with the position that a slot has confirmed
-- they say which events have left.
ALTER TABLE messagekit.outbox_checkpoints ADD COLUMN oldest_xid xid8, ADD COLUMN place bigint, ADD COLUMN xid xid8;

CREATE INDEX outbox_rejected_seq ON messagekit.outbox_rejected (seq);
