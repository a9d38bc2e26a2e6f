-- Which programs can use the tables, for programs that do not know the newest step.

-- The lowest program that can use the tables after a step, by its own newest step. NULL: only programs that know the step.
ALTER TABLE messagekit_schema ADD COLUMN lowest_program INTEGER CHECK (lowest_program BETWEEN 1 AND version);

-- No program was tested with a step that it does not know.
UPDATE messagekit_schema SET lowest_program = version;
