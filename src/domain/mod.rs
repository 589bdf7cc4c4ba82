//! Plain values and pure decisions: no I/O, no clock, no async.

pub mod autopsy;
pub mod checkup;
pub mod connection;
pub mod device;
pub mod event;
pub mod exit;
pub mod fleet;
pub mod gguf;
pub mod harmless;
pub mod instance;
pub mod lifecycle;
pub mod log;
pub mod log_level;
pub mod memory;
pub mod model_file;
pub mod readings;
pub mod restart;
pub mod run;
pub mod secrets;
pub mod units;
mod words;
pub mod work;
