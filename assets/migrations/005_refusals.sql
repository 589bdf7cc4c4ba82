-- Version 5: why an instance is as it is, even when no run of it ended: a start that was refused
-- leaves no row in `runs`. `last_error` says it in words.

ALTER TABLE runtime ADD COLUMN failure TEXT;
ALTER TABLE runtime ADD COLUMN cause TEXT;
ALTER TABLE runtime ADD COLUMN detail TEXT;
ALTER TABLE runtime ADD COLUMN retry_class TEXT;
ALTER TABLE runtime ADD COLUMN evidence TEXT;
ALTER TABLE runtime ADD COLUMN remedy TEXT;
