//! The integration tests, one binary so that linking happens once.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod api;
mod autopsy;
mod cli;
mod config;
mod connect;
mod dashboard;
mod diagnosis;
mod events;
mod failures;
mod health;
mod install;
mod kills;
mod layering;
mod lint;
mod logs;
mod models;
mod oom;
mod owner;
mod preflight;
mod probing;
mod process;
mod readme;
mod real;
mod reconcile;
mod recovery;
mod secrets;
mod sheets;
mod shim;
mod store;
mod support;
mod systemd;
mod work;
mod work_runs;
