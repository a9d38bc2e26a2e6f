-- Rows that logical replication applies to a table source.

-- on_replicated: they are events, too. Triggers named messagekit_source_<id>_<event>_replicated fire for them alone, or the triggers of the
-- source always fire.
ALTER TABLE messagekit.table_sources
  ADD COLUMN on_replicated boolean NOT NULL DEFAULT false;
