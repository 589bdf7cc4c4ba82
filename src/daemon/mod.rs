//! Owning.
