-- The failed runs of a failed message, and who runs it.

-- failed_runs: the last 20, oldest first: [{"at": microseconds, "attempt": 1, "error": "no", "instance": "host/1"}]. A run that ended without a
-- result has no error. leased_by: the token of a lease and the process that has it. The token tells whether it is the present lease, since
-- earlier programs do not write it.
ALTER TABLE messagekit.failed_messages
  ADD COLUMN failed_runs jsonb NOT NULL DEFAULT '[]',
  ADD COLUMN leased_by text;
