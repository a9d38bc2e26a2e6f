-- Which programs can use the tables, for programs that do not know the newest step.

-- The lowest program that can use the tables after a step, by its own newest step. NULL: only programs that know the step.
ALTER TABLE messagekit.schema_migrations ADD COLUMN lowest_program int CHECK (lowest_program BETWEEN 1 AND version);

-- No program was tested with a step that it does not know.
UPDATE messagekit.schema_migrations SET lowest_program = version;
