-- A relay that says so holds an advisory lock for as long as its process lives: the server lets go of it the moment the process is
-- gone, and others need not wait for the end of its lease.
ALTER TABLE messagekit.relay_members ADD COLUMN is_present boolean NOT NULL DEFAULT false;
