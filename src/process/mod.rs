//! Launching, identifying, adopting and stopping runs.

pub mod adopt;
pub mod ambient;
pub mod argv;
pub mod bounded;
pub mod identity;
pub mod launch;
pub mod listeners;
pub mod live;
pub mod log_counts;
pub mod oom;
pub mod orphans;
pub mod os;
mod pipes;
pub mod ports;
pub mod program;
pub mod runfiles;
pub mod shim;
mod sockets;
pub mod tree;
pub mod usage;
pub mod watch;
