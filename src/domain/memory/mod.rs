//! Whether a model will fit into memory, before anything is started.
//!
//! `flags` reads what the command line means for memory, `layers` what the header says of each
//! layer's cache, `estimate` adds up what the server will allocate and where, and `fit` holds that
//! against what there is. The sums follow llama.cpp's own (`llama-kv-cache.cpp`,
//! `llama-context.cpp`, `llama-model.cpp`); `tests/diagnosis/memory.rs` compares them with what a
//! real server reports. Compute buffers are not a formula there but the outcome of an allocator, so
//! that they are estimated a little too large rather than too small.

pub mod estimate;
pub mod fit;
pub mod flags;
pub mod layers;

#[cfg(test)]
mod tests;
