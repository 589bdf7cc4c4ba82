//! The built-in simulated llama-server.

/// Placeholder until merged.
pub fn main(_args: Vec<std::ffi::OsString>) -> u8 {
    1
}
