-- Rows that a write may replace are found by the unique key that the written row has in common with them.

-- unique_key: its number among those of the table. in_common: what the written row has in it, as one value. row_id: the number of the
-- row, or its key. is_same: the primary key is the same, and the event is an update. Triggers of the first form leave both NULL.
ALTER TABLE messagekit_replaced_rows ADD COLUMN unique_key INTEGER;
ALTER TABLE messagekit_replaced_rows ADD COLUMN in_common;

CREATE INDEX messagekit_replaced_rows_in_common ON messagekit_replaced_rows (source_id, unique_key, in_common);

-- number: counts the primings of the consumer. Each has positions of its own in messagekit_consumer_offsets, under the key lane
-- 2147483648 + number, so that it resumes where it was whatever the live consumer has handled.
ALTER TABLE messagekit_consumer_primings ADD COLUMN number INTEGER NOT NULL DEFAULT 1;
