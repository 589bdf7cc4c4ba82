//! llama-orch looks after every llama-server on this machine.
//!
//! Layers import downwards only; `tests/layering.rs` holds the rule.

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
