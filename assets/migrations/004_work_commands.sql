-- Version 4: what a work unit needs, what may be run for it, and how it is going.

ALTER TABLE work_units ADD COLUMN instance TEXT;
-- JSON object: phase to an array of program and arguments.
ALTER TABLE work_units ADD COLUMN commands TEXT;
-- The owner's run whose process may still be alive.
ALTER TABLE work_units ADD COLUMN run_id TEXT;
-- Why it needs attention.
ALTER TABLE work_units ADD COLUMN reason TEXT;
-- The command's own words.
ALTER TABLE work_units ADD COLUMN evidence TEXT;
ALTER TABLE work_units ADD COLUMN remedy TEXT;
-- When status or phase changed last; NULL: when it was updated.
ALTER TABLE work_units ADD COLUMN since REAL;

-- Status and phase change together or apart; new_status is DELETED when the unit is gone.
ALTER TABLE status_log ADD COLUMN old_phase TEXT;
ALTER TABLE status_log ADD COLUMN new_phase TEXT;
ALTER TABLE status_log ADD COLUMN reason TEXT;
ALTER TABLE status_log ADD COLUMN run_id TEXT;
