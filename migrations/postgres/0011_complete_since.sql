-- What a cleanup has removed of a consumer stays gone when its window is made longer: since when its markers are complete, in
-- the transaction that removes one. A message that is older and has no marker may have been applied.
ALTER TABLE messagekit.consumer_windows ADD COLUMN complete_since timestamptz;
