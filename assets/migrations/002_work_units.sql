-- Version 2: tracked pieces of agent work.

CREATE TABLE work_units (
    chunk TEXT PRIMARY KEY NOT NULL,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    -- JSON array of chunk names.
    blocked_by TEXT,
    worktree TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;

CREATE TABLE status_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk TEXT NOT NULL,
    old_status TEXT,
    new_status TEXT NOT NULL,
    timestamp REAL NOT NULL
) STRICT;
CREATE INDEX idx_status_log_chunk ON status_log (chunk, timestamp DESC);
