//! Launching, identifying, adopting and stopping runs.

pub mod runfiles;
pub mod shim;
