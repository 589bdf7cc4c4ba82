-- Version 6: how long the command of a work unit's phase may run.

-- Seconds; 0: as long as it likes, NULL: what the home says.
ALTER TABLE work_units ADD COLUMN time_limit REAL;
