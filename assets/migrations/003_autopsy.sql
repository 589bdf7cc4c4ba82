-- Version 3: why a run ended; `cause` and `detail` (the summary) were there already.

ALTER TABLE runs ADD COLUMN retry_class TEXT;
-- The server's own line.
ALTER TABLE runs ADD COLUMN evidence TEXT;
ALTER TABLE runs ADD COLUMN remedy TEXT;
