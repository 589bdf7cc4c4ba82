//! The part of the domain that the fuzzed code needs.

#[path = "../../../src/domain/gguf.rs"]
pub mod gguf;
#[path = "../../../src/domain/memory/mod.rs"]
pub mod memory;
#[path = "../../../src/domain/words.rs"]
mod words;
