//! The fuzzed reader.

#[path = "../../../src/probes/gguf/mod.rs"]
pub mod gguf;
