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

/// Bytes as a person reads them: `12.5 GiB`, `640 MiB`.
#[must_use]
pub fn human(bytes: u64) -> String {
    const MIB: f64 = (1_u64 << 20) as f64;
    let mib = bytes as f64 / MIB;
    if mib >= 1024.0 {
        format!("{:.1} GiB", mib / 1024.0)
    } else if mib >= 10.0 {
        format!("{mib:.0} MiB")
    } else {
        format!("{mib:.1} MiB")
    }
}

#[cfg(test)]
mod tests;
