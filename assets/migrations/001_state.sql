-- Version 1: what the user wants, what runs, and what happened.
-- All times are unix seconds.

CREATE TABLE schema_migrations (
    version INTEGER PRIMARY KEY NOT NULL,
    applied_at REAL NOT NULL
) STRICT;

CREATE TABLE instances (
    name TEXT PRIMARY KEY NOT NULL,
    config_path TEXT,
    -- NULL: nobody has said yet, the configuration's autostart decides.
    desired_state TEXT CHECK (desired_state IN ('running', 'stopped')),
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    -- Kept for homes of the Python llama-orch.
    instance_uid TEXT,
    instance_no TEXT,
    display_name TEXT
) STRICT;

CREATE TABLE runtime (
    name TEXT PRIMARY KEY NOT NULL REFERENCES instances (name) ON DELETE CASCADE,
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
    restart_at REAL,
    last_exit_code INTEGER,
    last_error TEXT
) STRICT;

-- AUTOINCREMENT, so that pruning everything does not make numbers repeat.
CREATE TABLE events (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    ts REAL NOT NULL,
    instance_name TEXT REFERENCES instances (name) ON DELETE SET NULL,
    level TEXT NOT NULL,
    event_type TEXT NOT NULL,
    message TEXT NOT NULL,
    meta_json TEXT
) STRICT;
CREATE INDEX idx_events_instance ON events (instance_name, ts DESC);
CREATE INDEX idx_events_level ON events (level, ts DESC);

-- One row per change of health.
CREATE TABLE health_history (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    instance_name TEXT NOT NULL REFERENCES instances (name) ON DELETE CASCADE,
    health TEXT NOT NULL,
    response_time_ms REAL,
    error_message TEXT,
    checked_at REAL NOT NULL
) STRICT;
CREATE INDEX idx_health_history_instance ON health_history (instance_name, checked_at DESC);

-- What all probes of five minutes said, in one row.
CREATE TABLE health_rollup (
    instance_name TEXT NOT NULL REFERENCES instances (name) ON DELETE CASCADE,
    started_at REAL NOT NULL,
    probes INTEGER NOT NULL,
    failures INTEGER NOT NULL,
    responses INTEGER NOT NULL,
    response_total_ms REAL NOT NULL,
    response_max_ms REAL NOT NULL,
    PRIMARY KEY (instance_name, started_at)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run_id TEXT PRIMARY KEY NOT NULL,
    instance_name TEXT NOT NULL REFERENCES instances (name) ON DELETE CASCADE,
    token TEXT,
    pid INTEGER,
    shim_pid INTEGER,
    port INTEGER,
    started_at REAL NOT NULL,
    ended_at REAL,
    exit_code INTEGER,
    exit_signal INTEGER,
    core INTEGER NOT NULL DEFAULT 0,
    requested INTEGER NOT NULL DEFAULT 0,
    dropped_bytes INTEGER NOT NULL DEFAULT 0,
    cause TEXT,
    detail TEXT
) STRICT;
CREATE INDEX idx_runs_instance ON runs (instance_name, started_at DESC);

-- Processes the Python llama-orch had noted when its database was taken over; a row goes away
-- once somebody has decided what its instance should be.
CREATE TABLE predecessor_processes (
    name TEXT NOT NULL REFERENCES instances (name) ON DELETE CASCADE,
    pid INTEGER NOT NULL,
    port INTEGER,
    started_at REAL,
    status TEXT NOT NULL,
    PRIMARY KEY (name, pid)
) STRICT, WITHOUT ROWID;
