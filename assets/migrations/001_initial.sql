CREATE TABLE instances (
    name TEXT PRIMARY KEY,
    config_path TEXT NOT NULL,
    desired_state TEXT NOT NULL DEFAULT 'stopped' CHECK (desired_state IN ('running', 'stopped')),
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;

CREATE TABLE runtime (
    name TEXT PRIMARY KEY REFERENCES instances(name) ON DELETE CASCADE,
    pid INTEGER,
    port INTEGER,
    cmdline TEXT,
    binary_version TEXT,
    status TEXT NOT NULL DEFAULT 'stopped',
    health TEXT NOT NULL DEFAULT 'unknown',
    started_at REAL,
    last_seen_at REAL,
    last_health_ok_at REAL,
    restart_attempts INTEGER NOT NULL DEFAULT 0,
    last_exit_code INTEGER,
    last_error TEXT
) STRICT;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY,
    instance_name TEXT NOT NULL,
    pid INTEGER,
    port INTEGER,
    started_at REAL NOT NULL,
    ended_at REAL,
    exit_code INTEGER,
    exit_signal INTEGER,
    requested INTEGER,
    dropped_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX idx_runs_instance ON runs(instance_name, started_at DESC);

CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts REAL NOT NULL,
    instance_name TEXT REFERENCES instances(name) ON DELETE SET NULL,
    level TEXT NOT NULL,
    event_type TEXT NOT NULL,
    message TEXT NOT NULL,
    meta_json TEXT
) STRICT;
CREATE INDEX idx_events_instance ON events(instance_name, ts DESC);
CREATE INDEX idx_events_level ON events(level, ts DESC);

CREATE TABLE health_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_name TEXT NOT NULL REFERENCES instances(name) ON DELETE CASCADE,
    health TEXT NOT NULL,
    response_time_ms REAL,
    error_message TEXT,
    checked_at REAL NOT NULL
) STRICT;
CREATE INDEX idx_health_instance ON health_history(instance_name, checked_at DESC);

CREATE TABLE work_units (
    chunk TEXT PRIMARY KEY,
    phase TEXT NOT NULL,
    status TEXT NOT NULL,
    blocked_by TEXT,
    worktree TEXT,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL
) STRICT;

CREATE TABLE status_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    chunk TEXT NOT NULL REFERENCES work_units(chunk) ON DELETE CASCADE,
    old_status TEXT,
    new_status TEXT NOT NULL,
    timestamp REAL NOT NULL
) STRICT;
