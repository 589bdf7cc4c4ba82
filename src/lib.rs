//! llama-orch looks after every llama-server on this machine.
//!
//! # The map
//!
//! Layers import downwards only; `tests/layering.rs` holds the rule.
//!
//! | Module | Holds | May use |
//! |---|---|---|
//! | [`cli`] | the command line: arguments, printing, exit codes | everything below |
//! | [`tui`] | the dashboard: model, update, view; a client and nothing else | `api`, `domain` |
//! | [`daemon`] | the owner of a home: its lock, HTTP routes, shutdown | `supervisor` and below |
//! | [`supervisor`] | `policy` decides, the actor carries out | the six below |
//! | [`api`] | wire types with their OpenAPI schemas, the one client | `domain` |
//! | [`probes`] | looks at servers, builds, models, GPUs; returns values | `domain` |
//! | [`logs`] | the reading side of logs: pages, search, times | `domain` |
//! | [`process`] | a run's shim, launch, proof of identity, adoption, stop | `domain` |
//! | [`store`] | SQLite behind one writer | `domain` |
//! | [`config`] | files into checked specs, each error with its place | `domain` |
//! | [`domain`] | plain values and pure functions: no I/O, no clock | nothing |
//! | [`sim`] | the simulated llama-server of the demo and the tests | nothing |
//!
//! # Theory of operation
//!
//! One process owns a home, by a lock of the kernel: a daemon, a dashboard, or a command while it
//! runs. Everybody else is its client, over the Unix socket or TCP; the owner's own dashboard is one
//! too, without a socket between.
//!
//! In the owner one actor writes the fleet's state. Commands, probe results, ends of processes, timers
//! and changed files reach it as inputs; [`supervisor::policy`] answers each with effects; the actor
//! stores a state before it announces it. Readers take snapshots and never wait for it.
//!
//! Each run has a parent of its own, the shim: it copies the output into rotated logs and records the
//! exit. It outlives the owner, so a new owner finds the runs in `state/runs`, proves by boot, pid, start
//! time and token that the processes are still those, and goes on. The kernel and these files are
//! the truth; the database is history and intent, and losing it costs no run.

#[cfg(not(target_os = "linux"))]
compile_error!("llama-orch supports Linux; its process layer has not been ported to this platform");

pub mod api;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod domain;
pub mod logs;
pub mod probes;
pub mod process;
pub mod sim;
pub mod store;
pub mod supervisor;
pub mod tui;
